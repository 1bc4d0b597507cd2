"""Rows and their verdicts, and the table that is made of them."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from loadtests.bench.report import cells, markdown, show
from loadtests.bench.results import Result, Row, Spread, Target

TWICE = Row.against(
    "Triton",
    [100.0, 100.0, 50.0],
    what="hits",
    unit="req/s",
    target=Target(2.0),
    ours=[210.0, 190.0, 200.0],
    note="three rounds",
)
SMALL = Row.alone("memory", "KiB", Target(12.0, at_least=False), [9.0])


def test_a_ratio_is_taken_in_each_round_and_then_the_median() -> None:
    assert TWICE.ratio == Spread(2.1, 1.9, 4.0, 3)
    assert TWICE.theirs == Spread(100.0, 50.0, 100.0, 3)


def test_four_digits_are_kept_of_large_and_of_small_figures() -> None:
    assert Spread.of([123456.0]).median == 123500.0
    assert Spread.of([0.000123456]).median == 0.0001235


@pytest.mark.parametrize(
    ("target", "figure", "kept"),
    [
        (Target(2.0), 2.0, True),
        (Target(2.0), 1.99, False),
        (Target(1.25, at_least=False), 1.25, True),
        (Target(1.25, at_least=False), 1.26, False),
        (Target(2.0), math.nan, False),
        (Target(1.25, at_least=False), math.nan, False),
    ],
)
def test_targets(target: Target, figure: float, kept: bool) -> None:
    assert target.is_reached(figure) is kept


def test_the_target_is_for_the_ratio_where_there_is_a_peer() -> None:
    """200 req/s would reach "at least 2"; 0.2 times the peer's does not."""
    row = Row.against("peer", [1000.0], what="hits", unit="req/s", target=Target(2.0), ours=[200.0])

    assert not row.is_kept
    assert Row.alone("hits", "req/s", Target(2.0), [200.0]).is_kept


def test_a_case_without_rows_keeps_nothing() -> None:
    assert not Result().is_kept
    assert not Result(skipped="no wrk").is_kept
    assert Result(rows=(TWICE, SMALL)).is_kept
    assert not Result(rows=(TWICE, Row.alone("x", "µs", Target(1.0, at_least=False), [2.0]))).is_kept


def test_json_tells_of_each_row_whether_it_is_kept() -> None:
    plain = Result(rows=(TWICE,), details={"connections": 32}).as_json()

    assert plain["kept"] is True
    assert plain["details"] == {"connections": 32}
    assert plain["rows"][0]["target"] == "≥ 2"
    assert plain["rows"][0]["kept"] is True
    assert plain["rows"][0]["ratio"]["median"] == 2.1
    assert Result(skipped="no wrk").as_json() == {"skipped": "no wrk", "kept": False}


def test_a_row_reads_from_left_to_right() -> None:
    assert cells(TWICE) == ("hits", "200 req/s", "100 req/s (Triton)", "2.1 (1.9 to 4)", "≥ 2", "yes")
    assert cells(SMALL) == ("memory", "9 KiB", "", "", "≤ 12 KiB", "yes")


def test_markdown_has_a_line_per_row_and_the_notes_beneath() -> None:
    text = markdown({"hits": Result(rows=(TWICE,)), "json": Result(skipped="no | wrk")}, {"commit": "abc"})

    lines = text.splitlines()
    assert lines[0] == "commit abc"
    assert lines[2] == "| case | ours | theirs | ratio (min to max) | target | kept |"
    assert lines[4] == "| hits | 200 req/s | 100 req/s (Triton) | 2.1 (1.9 to 4) | ≥ 2 | yes |"
    assert lines[5] == "| json |  |  |  |  | skipped |"
    assert lines[7:] == ["- hits: three rounds", "- json: no | wrk"]


def test_the_table_shows_skipped_cases_and_why() -> None:
    out = io.StringIO()

    show(Console(file=out, width=120), {"hits": Result(rows=(TWICE,)), "json": Result(skipped="no wrk [x]")})

    assert "2.1 (1.9 to 4)" in out.getvalue()
    assert "skipped" in out.getvalue()
    assert "* json: no wrk [x]" in out.getvalue()
