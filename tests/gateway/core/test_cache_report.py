"""What processes say of their caches, as one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cache_report import CacheReport, LevelReport, answers_report, hit_ratio, merged

ONE = CacheReport(
    enabled=True,
    answers={"l1": 6, "central": 2},
    levels=(
        LevelReport(
            "l1",
            state=("<one>",),
            lookups={"hit": 6, "miss": 2},
            recent_lookups={"early": 1},
            entries=2,
            bytes=200,
            max_bytes=1000,
            evictions={"small": 1},
            holders={"acme": 150},
            estimates={"double": 0.5, "half": 0.25},
        ),
        LevelReport("l2", lookups={"miss": 2}, lost={"backlog": 1}),
    ),
    flights={"running": 1, "waiting": 3, "joined": 10},
    refreshes=1,
    gates={"redis": "closed"},
    top=(answers_report("digits", "acme", {"l1": 6, "central": 2}),),
)
TWO = CacheReport(
    enabled=True,
    answers={"stale": 1, "central": 1},
    levels=(
        LevelReport(
            "l1",
            state=("<two>",),
            lookups={"miss": 2},
            entries=1,
            bytes=100,
            max_bytes=1000,
            estimates={"double": 0.75},
        ),
        LevelReport("l2", lookups={"hit": 1, "skipped": 1}),
    ),
    gates={"redis": "open"},
    top=(answers_report("digits", "acme", {"stale": 1}), answers_report("faces", "", {"central": 1})),
)


def test_workers_are_one_gateway() -> None:
    """Counts and bytes add up, ratios are of the sums, and gates that differ are all shown."""
    report = merged([ONE, TWO], top=10)

    near, far = report.levels
    assert (report.processes, report.enabled, report.gates) == (2, True, {"redis": "closed, open"})
    assert (near.entries, near.bytes, near.max_bytes, near.state) == (3, 300, 2000, ("<one>", "<two>"))
    assert near.lookups == {"hit": 6, "miss": 4}
    assert (near.hit_ratio, near.recent_hit_ratio) == (0.6, 1.0)
    assert near.estimates == {"double": 0.625, "half": 0.25}
    assert (far.entries, far.hit_ratio, far.recent_hit_ratio) == (None, 0.25, None)
    assert report.hit_ratio == 0.7
    assert report.flights == {"running": 1, "waiting": 3, "joined": 10}
    assert [(row.model, row.tenant, row.answers) for row in report.top] == [
        ("digits", "acme", 9),
        ("faces", "", 1),
    ]
    assert report.top[0].hit_ratio == 7 / 9


def test_the_most_asked_come_first_and_the_rest_is_cut() -> None:
    """After the sums: what is little everywhere may be much together."""
    assert [row.model for row in merged([TWO, TWO], top=1).top] == ["digits"]
    assert merged([TWO], top=0).top == ()


def test_nothing_counted_has_no_ratio() -> None:
    """Zero of zero is not a bad cache."""
    assert hit_ratio({}) is None
    assert hit_ratio({"miss": 0}) is None
    assert merged([], top=3) == CacheReport(processes=0)


@given(st.permutations([ONE, TWO, ONE]))
def test_the_order_of_workers_changes_no_number(reports: list[CacheReport]) -> None:
    """Only the order in which their states are listed."""
    found, expected = merged(reports, 5), merged([ONE, TWO, ONE], 5)

    assert found.answers == expected.answers
    assert found.hit_ratio == expected.hit_ratio
    assert [msgspec.structs.replace(level, state=(), estimates={}) for level in found.levels] == [
        msgspec.structs.replace(level, state=(), estimates={}) for level in expected.levels
    ]
    for level, other in zip(found.levels, expected.levels, strict=True):
        assert level.estimates == pytest.approx(other.estimates)


def test_it_travels_between_processes() -> None:
    """As JSON, which another build may have written with fields that this one does not know."""
    text = msgspec.json.encode(ONE)

    assert msgspec.json.decode(text, type=CacheReport) == ONE
    newer = msgspec.json.encode({**msgspec.json.decode(text), "levels_of_tomorrow": []})
    assert msgspec.json.decode(newer, type=CacheReport) == ONE
