"""Verdicts: what may be left out, and what may not."""

from __future__ import annotations

import pytest

from gateway.conformance.check import (
    Absent,
    Area,
    Broken,
    Exchange,
    Level,
    NotApplicable,
    Verdict,
    decide,
    require,
)

AREA = Area("a")


def made(**options: object):
    """A check of an area, as a decorator adds it."""
    area = Area("a")
    area.check("c", "title", "clause", **options)(lambda peer: None)
    return area.checks[0]


REQUIRED, OPTIONAL, EXTENSION = made(), made(optional=True), made(extension="x")
SILENT = (Exchange("sent", "", is_unanswered=True),)


@pytest.mark.parametrize(
    ("check", "error", "exchanges", "advertised", "verdict"),
    [
        (REQUIRED, None, (), (), Verdict.PASS),
        (REQUIRED, Broken(""), (), (), Verdict.FAIL),
        (REQUIRED, Absent(""), (), (), Verdict.FAIL),
        (REQUIRED, NotApplicable(""), (), (), Verdict.NOT_APPLICABLE),
        (OPTIONAL, Broken(""), (), (), Verdict.FAIL),
        (OPTIONAL, Absent(""), (), (), Verdict.UNSUPPORTED),
        (EXTENSION, Broken(""), (), (), Verdict.UNSUPPORTED),
        (EXTENSION, Absent(""), (), (), Verdict.UNSUPPORTED),
        (EXTENSION, Broken(""), (), ("x",), Verdict.FAIL),
        (EXTENSION, Absent(""), (), ("x",), Verdict.FAIL),
        (EXTENSION, Broken(""), SILENT, (), Verdict.FAIL),
        (EXTENSION, None, (), (), Verdict.PASS),
    ],
)
def test_verdicts(check, error, exchanges, advertised, verdict) -> None:
    assert decide(check, error, exchanges, frozenset(advertised))[0] is verdict


def test_checks_keep_their_order_and_names() -> None:
    area = Area("a")
    for name in ("second", "first"):
        area.check(name, "title", "clause")(lambda peer: None)

    assert [check.id for check in area.checks] == ["a.second", "a.first"]
    assert {made().level, made(optional=True).level, made(extension="x").level} == set(Level)


def test_a_rule_that_is_not_kept_is_a_finding() -> None:
    require(1, "kept")
    with pytest.raises(Broken, match="not kept"):
        require([], "not kept")
