"""A request as a step; what is no step is in test_batcher.py."""

from __future__ import annotations

import pytest

from edge_models.sequences.step import MOST_ID_BYTES, must_start, step_of
from gateway.core.errors import GatewayError
from gateway.core.request import Caller, Request


def ask(number, **more) -> Request:
    caller = Caller(tenant="a", residency="eu")
    return Request("m", (), parameters={"sequence_id": number, **more}, caller=caller)


@pytest.mark.parametrize("number", [1, (1 << 64) - 1, "x", "x" * MOST_ID_BYTES])
def test_a_step_is_one_of_its_tenants_sequence(number):
    """The key is tenant, residency class and id."""
    step = step_of(ask(number, sequence_end=True), 1)

    assert (step.key, step.id) == (("a", "eu", number), number)
    assert (step.is_start, step.is_end) == (False, True)


def test_where_nobody_is_checked_the_claimed_tenant_tells_sequences_apart():
    """A central tier that does not trust the edges before it has their word, and nothing better."""
    one, two, none = (
        step_of(Request("m", (), parameters={"sequence_id": 1}, caller=Caller(claimed=claimed)), 1).key
        for claimed in ("acme", "other", "")
    )

    assert len({one, two, none}) == 3


@pytest.mark.parametrize("number", [0, "", 1.5, "x" * (MOST_ID_BYTES + 1), "ä" * MOST_ID_BYTES])
def test_what_is_no_id_is_refused(number):
    """Also where no listener has checked it."""
    with pytest.raises(GatewayError):
        step_of(ask(number), 1)


def test_an_id_does_not_make_a_message_long_or_break_its_line():
    """A stranger chose it."""
    message = must_start("m", "a\nb" * 100).message

    assert "\n" not in message
    assert len(message) < 300
