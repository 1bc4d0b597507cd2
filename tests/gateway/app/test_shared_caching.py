"""A popular answer is verified where others are refreshed early, also where none is."""

from __future__ import annotations

from cache.settings import CacheSettings
from gateway.app.shared_caching import least_beta
from routing.caching import RouteCache


def test_without_early_refreshes_popular_answers_are_verified_all_the_same() -> None:
    """What is due for that looks due for a refresh; any other is not refreshed a moment earlier."""
    settings, none = CacheSettings(), CacheSettings(early_beta=0)

    assert least_beta(settings, RouteCache(verify_after=3)) == settings
    assert least_beta(none, RouteCache()) == none
    assert 0 < least_beta(none, RouteCache(verify_after=3)).early_beta < 1e-6
