"""The lint rules about what processes do for each other's caches; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routing.policy import Policy, Route
from routing.problem import Problem

_CENTRAL: Final = "central"


def _no_central(policy: Policy) -> Iterator[Problem]:
    """Popular answers that nobody can verify."""
    for index, route in enumerate(policy.routes):
        if route.cache.verify_after is None or _central_of(policy, route):
            continue
        yield Problem(
            "EW184",
            ("routes", index, "cache", "verify_after"),
            f"nobody can verify an answer: no endpoint of route '{route.name}' is of the tier central",
        )


def _no_effect(policy: Policy) -> Iterator[Problem]:
    """Popular answers of the edge, of a route that has or keeps none."""
    for index, route in enumerate(policy.routes):
        if route.cache.verify_after is None:
            continue
        path = ("routes", index, "cache", "verify_after")
        if route.cascade is None:
            yield Problem(
                "EW284",
                path,
                "has no effect: the route has no `cascade`, so that the edge answers nothing by itself",
            )
        elif not route.cache.enabled:
            yield Problem("EW284", path, "has no effect: with `enabled: false` no answer is kept")


def _no_lease(policy: Policy) -> Iterator[Problem]:
    """A lease, of a route that keeps nothing."""
    for index, route in enumerate(policy.routes):
        if not route.cache.lease and not route.cache.enabled:
            yield Problem(
                "EW285",
                ("routes", index, "cache", "lease"),
                "has no effect: with `enabled: false` no answer is kept, and nobody waits for one",
            )


def _central_of(policy: Policy, route: Route) -> bool:
    known = [policy.endpoints[name] for name in route.endpoints if name in policy.endpoints]
    return any(each.tier == _CENTRAL for each in known)


SHARED_CACHING_CHECKS: Final = (_no_central, _no_effect, _no_lease)
"""What each finds is reported."""
