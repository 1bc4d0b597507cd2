"""The fields of a shadow."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routing.shadow import Shadow, ShadowComparison


def test_what_is_not_named_has_a_default() -> None:
    """All of what a shadow gets, a few at a time, within seconds."""
    assert msgspec.convert({"version": "2"}, Shadow) == Shadow(
        version="2",
        endpoints=(),
        percent=100.0,
        timeout_ms=5000,
        max_in_flight=4,
        max_waiting=64,
        compare=ShadowComparison(rtol=1e-3, atol=1e-7, top1=(), ignore=()),
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"percent": 101},
        {"percent": -1},
        {"timeout_ms": 0},
        {"max_in_flight": 0},
        {"max_in_flight": 65},
        {"max_waiting": -1},
        {"max_waiting": 4097},
        {"version": ""},
        {"version": "a b"},
        {"version": 2},
        {"sample": 10},
        {"compare": {"rtol": -1}},
        {"compare": {"rtol": 1e300}},
        {"compare": {"top1": "probabilities"}},
        {"compare": {"tolerance": 1}},
        {"compare": {"ignore": ["o"] * 65}},
    ],
    ids=str,
)
def test_what_means_nothing_is_refused(bad: dict[str, Any]) -> None:
    """Out of range, of another type, or unknown."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, Shadow)
