"""Which requests pass the cache of a route by."""

from __future__ import annotations

import pytest

from gateway.core.request import Caller
from routing.caching import BypassRules, CacheBypass, RouteCache, bypass_headers
from routing.match import HeaderMatch
from tests.fakes.service import request

DEBUG = CacheBypass(headers={"X-Debug": "1", "x-stage": HeaderMatch(prefix="test")})
ACME = CacheBypass(tenants=("acme",))
BUILD = CacheBypass(headers={"x-build": HeaderMatch(regex="[0-9]+")}, tenants=("*",))


@pytest.mark.parametrize(
    ("tenant", "routed", "passes"),
    [
        ("other", {}, False),
        ("acme", {}, True),
        ("other", {"x-debug": "1"}, False),
        ("other", {"x-debug": "1", "x-stage": "test-3"}, True),
        ("other", {"x-debug": "1", "x-stage": "live"}, False),
        ("other", {"x-build": "77"}, True),
        ("other", {"x-build": "7a"}, False),
    ],
)
def test_any_of_them_whose_conditions_all_hold(tenant: str, routed: dict[str, str], passes: bool) -> None:
    rules = BypassRules((DEBUG, ACME, BUILD))

    assert rules(request(caller=Caller(tenant=tenant), routed=tuple(routed.items()))) is passes
    assert repr(rules) == "<BypassRules 3>"


def test_headers_are_read_that_they_go_by() -> None:
    assert bypass_headers(RouteCache(bypass=(DEBUG, BUILD))) == {"x-debug", "x-stage", "x-build"}
