"""Copies of a request with one field changed."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

from gateway.core.request import Caller
from resilience.amend import with_attempt, with_caller, with_deadline
from tests.fakes.service import request

FULL = request(
    id="r1",
    version="2",
    outputs=("probabilities",),
    parameters=MappingProxyType({"priority": 1}),
    caller=Caller(address="192.0.2.1", tenant="acme"),
    deadline=1010.0,
    attempt=1,
    regions=frozenset({"eu-west"}),
    hops=1,
    trace=(("traceparent", "00-1-2-01"),),
)


def test_the_example_sets_every_field() -> None:
    """A field that is added to Request and forgotten here would be lost in the copies."""
    plain = request()

    for field in dataclasses.fields(FULL):
        if field.name not in {"model", "inputs"}:
            assert getattr(FULL, field.name) != getattr(plain, field.name), field.name


def test_only_the_named_field_changes() -> None:
    """Each copy equals dataclasses.replace, and the original stays as it is."""
    caller = Caller(tenant="other")

    assert with_deadline(FULL, 1.0) == dataclasses.replace(FULL, deadline=1.0)
    assert with_caller(FULL, caller) == dataclasses.replace(FULL, caller=caller)
    assert with_attempt(FULL, 2) == dataclasses.replace(FULL, attempt=2)
    assert (FULL.deadline, FULL.attempt, FULL.caller.tenant) == (1010.0, 1, "acme")
