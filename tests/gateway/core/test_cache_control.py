"""What a client wants of the cache."""

from __future__ import annotations

import pytest

from gateway.core.cache_control import NO_STORE, REFRESH, CacheDirectives, not_cached
from gateway.core.errors import Fault


@pytest.mark.parametrize(
    ("control", "refuses"),
    [
        (CacheDirectives(no_cache=True), True),
        (CacheDirectives(max_age_s=0), True),
        (CacheDirectives(only_if_cached=True), False),
        (NO_STORE, False),
        (REFRESH, False),
    ],
)
def test_who_takes_nothing_stale(control: CacheDirectives, refuses: bool) -> None:
    assert control.refuses_stale is refuses


def test_nothing_cached_is_a_fault_of_its_own() -> None:
    """It is no evidence against anybody, and nothing to try again."""
    error = not_cached()

    assert (error.fault, error.retryable, error.counts) == (Fault.NOT_CACHED, False, False)
    assert "only-if-cached" in error.message
