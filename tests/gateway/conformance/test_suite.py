"""All checks, and choosing among them."""

from __future__ import annotations

from gateway.conformance.areas import AREAS
from gateway.conformance.suite import CHECKS, area_called, chosen


def test_areas_have_the_names_of_their_modules() -> None:
    assert tuple(area_called(name).name for name in AREAS) == AREAS


def test_checks_are_many_and_each_has_its_own_name_and_a_clause() -> None:
    assert len(CHECKS) >= 90
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    assert all(check.title and check.clause for check in CHECKS)


def test_checks_of_the_chosen_areas_run_in_the_order_of_the_suite() -> None:
    assert chosen(()) == CHECKS
    assert list(dict.fromkeys(check.area for check in chosen(("model", "server")))) == ["server", "model"]
