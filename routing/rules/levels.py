"""Priority levels of endpoints, as the place of a gateway gives them: the first level is preferred. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from routing.policy import Policy

Levels = tuple[tuple[str, ...], ...]
"""Names of endpoints by level; in a level they stand in the route's order."""

REGION = "region"


def grouped(names: Iterable[str], level_of: Mapping[str, int]) -> Levels:
    """Return ``names`` by level, those without any left out; in a level they keep their order."""
    found: dict[int, list[str]] = {}
    for name in names:
        found.setdefault(level_of[name], []).append(name)
    return tuple(tuple(found[level]) for level in sorted(found))


def common_labels(policy: Policy, own_region: str, names: Iterable[str]) -> dict[str, int]:
    """Return the level of each endpoint by the labels that it shares with the own region (failoverPriority).

    The level is the number of labels, less those that are equal from the first on without a gap, as Istio has
    it: who has all of them is preferred.
    """
    wanted = [_wanted(policy, own_region, label) for label in policy.preference.failover_priority]
    levels = {}
    for name in names:
        equal = 0
        for label, value in wanted:
            if not value or _label(policy, name, label) != value:
                break
            equal += 1
        levels[name] = len(wanted) - equal
    return levels


def _wanted(policy: Policy, own_region: str, label: str) -> tuple[str, str]:
    name, given, value = label.partition("=")
    if given:
        return name, value
    own = own_region if name == REGION else policy.regions[own_region].labels.get(name, "")
    return name, own


def _label(policy: Policy, endpoint: str, label: str) -> str:
    definition = policy.endpoints[endpoint]
    if label == REGION:
        return definition.region
    own = definition.labels.get(label)
    if own is not None:
        return own
    region = policy.regions.get(definition.region)
    return region.labels.get(label, "") if region else ""
