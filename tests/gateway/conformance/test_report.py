"""What the suite shows on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gateway.conformance import report
from gateway.conformance.check import Area, Exchange, Finding, Verdict
from gateway.conformance.suite import CHECKS

AREA = Area("area")
for number in range(7):
    AREA.check(f"check-{number}", "what [bold]must[/] be", "the clause")(lambda peer: None)
SAID = (Exchange("GET /v2 [red]", "404 [/]"),)


def findings(verdict: Verdict, reason: str, *, count: int = 1) -> list[Finding]:
    return [Finding(check, verdict, reason, 0.0, SAID) for check in AREA.checks[:count]]


def shown(show, *arguments, width: int = 80) -> str:
    screen = io.StringIO()
    show(Console(file=screen, width=width, force_terminal=False), *arguments)
    return screen.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = findings(Verdict.FAIL, "because " * 40) + findings(Verdict.UNSUPPORTED, "x" * 300, count=7)

    for text in (shown(report.listing, CHECKS, width=width), shown(report.overview, long, width=width)):
        assert max(map(len, text.splitlines())) <= width


def test_failures_come_with_their_reason_and_clause() -> None:
    text = shown(report.overview, findings(Verdict.FAIL, "[not] \x1b[31mmarkup"))

    assert "area.check-0  what [bold]must[/] be" in text
    assert "[not] \\x1b[31mmarkup" in text
    assert "the clause" in text


def test_checks_left_out_for_the_same_reason_share_a_line() -> None:
    few = list(report.grouped(findings(Verdict.UNSUPPORTED, "no", count=2), Verdict.UNSUPPORTED))
    many = list(report.grouped(findings(Verdict.NOT_APPLICABLE, "no", count=7), Verdict.NOT_APPLICABLE))

    assert few == [("area.check-0\narea.check-1", "no")]
    assert many == [("area: 7 checks", "no")]


def test_transcripts_are_shown_as_they_are() -> None:
    text = shown(report.failures, findings(Verdict.FAIL, "because") + findings(Verdict.PASS, ""))

    assert text.count("area.check-0") == 1
    assert "request\nGET /v2 [red]\nanswer\n404 [/]\n" in text


def test_the_last_line_has_all_numbers() -> None:
    mixed = findings(Verdict.PASS, "", count=3) + findings(Verdict.FAIL, "x", count=2)

    assert (
        shown(report.summary, mixed, "server") == "server: 5 checks: 3 pass, 2 fail, 0 unsupported, 0 n/a\n"
    )
