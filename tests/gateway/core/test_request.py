"""Requests, callers and provenance."""

from __future__ import annotations

import pytest

from gateway.core.request import Caller, Provenance
from tests.fakes.service import request


@pytest.mark.parametrize(
    ("provenance", "label"),
    [
        (Provenance("edge"), "edge"),
        (Provenance("central", level="l2"), "l2"),
        (Provenance("edge", level="l1", stale=True), "stale"),
    ],
)
def test_label_is_one_word(provenance: Provenance, label: str) -> None:
    """Stale before level before origin."""
    assert provenance.label == label


def test_caller_never_shows_a_credential() -> None:
    """What is logged must not hold a key."""
    caller = Caller("1.2.3.4", "acme", credential="Bearer secret", residency="eu")

    assert "secret" not in repr(caller) + repr(request(caller=caller))
    assert repr(caller) == "<Caller 1.2.3.4, tenant acme, residency eu>"
    assert repr(Caller()) == "<Caller unknown, tenant anonymous>"


def test_request_is_frozen() -> None:
    """Layers pass on changed copies; nobody changes somebody else's request."""
    with pytest.raises(AttributeError):
        request().deadline = 1.0
