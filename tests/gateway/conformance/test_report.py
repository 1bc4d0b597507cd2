"""What the suite shows on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gateway.conformance import report
from gateway.conformance.check import Area, CheckResult
from gateway.conformance.suite import CHECKS
from gateway.conformance.verdicts import CheckVerdict, RecordedExchange

AREA = Area("area")
for number in range(7):
    AREA.check(f"check-{number}", "what [bold]must[/] be", "the clause")(lambda tested: None)
SAID = (RecordedExchange("GET /v2 [red]", "404 [/]"),)


def results(verdict: CheckVerdict, reason: str, *, count: int = 1) -> list[CheckResult]:
    return [CheckResult(check, verdict, reason, 0.0, SAID) for check in AREA.checks[:count]]


def shown(show, *arguments, width: int = 80) -> str:
    screen = io.StringIO()
    show(Console(file=screen, width=width, force_terminal=False), *arguments)
    return screen.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = results(CheckVerdict.FAIL, "because " * 40) + results(CheckVerdict.UNSUPPORTED, "x" * 300, count=7)

    for text in (shown(report.listing, CHECKS, width=width), shown(report.overview, long, width=width)):
        assert max(map(len, text.splitlines())) <= width


def test_failures_come_with_their_reason_and_clause() -> None:
    text = shown(report.overview, results(CheckVerdict.FAIL, "[not] \x1b[31mmarkup"))

    assert "area.check-0  what [bold]must[/] be" in text
    assert "[not] \\x1b[31mmarkup" in text
    assert "the clause" in text


def test_checks_left_out_for_the_same_reason_share_a_line() -> None:
    few = list(report.grouped(results(CheckVerdict.UNSUPPORTED, "no", count=2), CheckVerdict.UNSUPPORTED))
    many = list(
        report.grouped(results(CheckVerdict.NOT_APPLICABLE, "no", count=7), CheckVerdict.NOT_APPLICABLE)
    )

    assert few == [("area.check-0\narea.check-1", "no")]
    assert many == [("area: 7 checks", "no")]


def test_transcripts_are_shown_as_they_are() -> None:
    text = shown(report.failures, results(CheckVerdict.FAIL, "because") + results(CheckVerdict.PASS, ""))

    assert text.count("area.check-0") == 1
    assert "request\nGET /v2 [red]\nanswer\n404 [/]\n" in text


def test_the_last_line_has_all_numbers() -> None:
    mixed = results(CheckVerdict.PASS, "", count=3) + results(CheckVerdict.FAIL, "x", count=2)

    assert (
        shown(report.summary, mixed, "server") == "server: 5 checks: 3 pass, 2 fail, 0 unsupported, 0 n/a\n"
    )
