"""Tags by which a route's answers can be invalidated together: what they mean to one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routing.policy import Policy
from routing.problem import Problem


def _twice(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        for place, tag in enumerate(route.cache.tags):
            if tag in route.cache.tags[:place]:
                yield Problem(
                    "EW182", ("routes", index, "cache", "tags", place), f"the tag '{tag}' stands here twice"
                )


def _of_nothing(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        if route.cache.tags and not (route.cache.enabled and route.digests):
            yield Problem(
                "EW282",
                ("routes", index, "cache", "tags"),
                "no answer of this route is cached, so there is nothing that its tags could invalidate",
            )


CACHING_TAGS_CHECKS: Final = (_twice, _of_nothing)
