"""Verdicts: what may be left out, and what may not."""

from __future__ import annotations

import pytest

from gateway.conformance.check import Area, decide
from gateway.conformance.verdicts import (
    Absent,
    CheckVerdict,
    NotApplicable,
    Obligation,
    RecordedExchange,
    Violation,
)

AREA = Area("a")


def made(**options: object):
    """A check of an area, as a decorator adds it."""
    area = Area("a")
    area.check("c", "title", "clause", **options)(lambda tested: None)
    return area.checks[0]


REQUIRED, OPTIONAL, EXTENSION = made(), made(optional=True), made(extension="x")
SILENT = (RecordedExchange("sent", "", is_unanswered=True),)


@pytest.mark.parametrize(
    ("check", "error", "exchanges", "advertised", "verdict"),
    [
        (REQUIRED, None, (), (), CheckVerdict.PASS),
        (REQUIRED, Violation(""), (), (), CheckVerdict.FAIL),
        (REQUIRED, Absent(""), (), (), CheckVerdict.FAIL),
        (REQUIRED, NotApplicable(""), (), (), CheckVerdict.NOT_APPLICABLE),
        (OPTIONAL, Violation(""), (), (), CheckVerdict.FAIL),
        (OPTIONAL, Absent(""), (), (), CheckVerdict.UNSUPPORTED),
        (EXTENSION, Violation(""), (), (), CheckVerdict.UNSUPPORTED),
        (EXTENSION, Absent(""), (), (), CheckVerdict.UNSUPPORTED),
        (EXTENSION, Violation(""), (), ("x",), CheckVerdict.FAIL),
        (EXTENSION, Absent(""), (), ("x",), CheckVerdict.FAIL),
        (EXTENSION, Violation(""), SILENT, (), CheckVerdict.FAIL),
        (EXTENSION, None, (), (), CheckVerdict.PASS),
    ],
)
def test_verdicts(check, error, exchanges, advertised, verdict) -> None:
    assert decide(check, error, exchanges, frozenset(advertised))[0] is verdict


def test_checks_keep_their_order_and_names() -> None:
    area = Area("a")
    for name in ("second", "first"):
        area.check(name, "title", "clause")(lambda tested: None)

    assert [check.id for check in area.checks] == ["a.second", "a.first"]
    assert {made().obligation, made(optional=True).obligation, made(extension="x").obligation} == set(
        Obligation
    )
