"""The lint rules about what routes cache; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from routing.caching import CacheBypass, RouteCache, TtlByProvenance
from routing.header_tests import header_test
from routing.lint_matching import header_name
from routing.policy import ANY, Policy
from routing.problem import Path, Problem, unknown


def _bypasses(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        for position, bypass in enumerate(route.cache.bypass):
            path: Path = ("routes", index, "cache", "bypass", position)
            if not bypass.headers and not bypass.tenants:
                yield Problem(
                    "EW177",
                    path,
                    "has no condition and would hold for every request: name headers or tenants, or disable "
                    "the cache",
                )
            for place, name in enumerate(bypass.tenants):
                if name not in policy.tenants and name != ANY:
                    yield Problem("EW105", (*path, "tenants", place), unknown("tenant", name, policy.tenants))
            yield from _headers(path, bypass)


def _headers(path: Path, bypass: CacheBypass) -> Iterator[Problem]:
    for name, match in bypass.compared:
        place: Path = (*path, "headers", name)
        yield from header_name(place, name)
        if len(match.given) != 1:
            given = " and ".join(match.given) or "none"
            yield Problem("EW178", place, f"one of exact, prefix, regex says how; here are {given}")
        elif match.regex is not None:
            try:
                header_test(match)
            except ValueError as error:
                yield Problem("EW178", (*place, "regex"), f"RE2 does not take this expression: {error}")


def _levels(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        levels = route.cache.levels or ()
        if len(set(levels)) < len(levels):
            yield Problem(
                "EW179",
                ("routes", index, "cache", "levels"),
                f"'{levels[0]}' stands here twice: name it once",
            )


def _without_cascade(policy: Policy) -> Iterator[Problem]:
    """Times of the edge's answers, where the edge never answers."""
    for index, route in enumerate(policy.routes):
        by = route.cache.ttl_by_provenance or TtlByProvenance()
        for name in ("edge_s", "edge_uncertified_s"):
            if getattr(by, name) is not None and route.cascade is None:
                yield Problem(
                    "EW276",
                    ("routes", index, "cache", "ttl_by_provenance", name),
                    "has no effect: without a cascade the edge computes no answer of this route",
                )


def _disabled(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        if route.cache.enabled:
            continue
        plain = RouteCache(enabled=False)
        for each in msgspec.structs.fields(RouteCache):
            if getattr(route.cache, each.name) != getattr(plain, each.name):
                path: Path = ("routes", index, "cache", each.name)
                yield Problem("EW277", path, "has no effect: the cache of this route is not enabled")


def _without_memory(policy: Policy) -> Iterator[Problem]:
    """What is kept in L1 alone, where L1 is not used."""
    for index, route in enumerate(policy.routes):
        cache = route.cache
        if cache.levels is None or "l1" in cache.levels:
            continue
        path: Path = ("routes", index, "cache")
        why = "has no effect: it is kept in l1 alone, which is not among the levels"
        if cache.negative_ttl_s:
            yield Problem("EW278", (*path, "negative_ttl_s"), why)
        if cache.ttl_by_provenance is not None and cache.ttl_by_provenance.edge_uncertified_s:
            yield Problem("EW278", (*path, "ttl_by_provenance", "edge_uncertified_s"), why)


def _overruled(policy: Policy) -> Iterator[Problem]:
    """A time that each provenance has its own instead of."""
    for index, route in enumerate(policy.routes):
        by = route.cache.ttl_by_provenance or TtlByProvenance()
        is_all = by.central_s is not None and (by.edge_s is not None or route.cascade is None)
        if route.cache.ttl_s is not None and is_all:
            yield Problem(
                "EW279", ("routes", index, "cache", "ttl_s"), "has no effect: ttl_by_provenance has all times"
            )


CACHING_CHECKS: Final = (_bypasses, _levels, _without_cascade, _disabled, _without_memory, _overruled)
