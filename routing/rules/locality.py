"""What the place of a gateway makes of a policy's locality: levels of endpoints, weights of regions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from routing.policy import Policy
from routing.rules.distance import least_round_trip_s

REGION = "region"


def levels(policy: Policy, own_region: str, names: Iterable[str]) -> dict[str, int]:
    """Return the level of each endpoint, the lowest preferred, for the modes that do not measure."""
    if policy.preference.mode == "failover_priority":
        return _by_labels(policy, own_region, names)
    return distances(policy, own_region, names)


def distances(policy: Policy, own_region: str, names: Iterable[str]) -> dict[str, int]:
    """Return how far the endpoints ``names`` are, by the place of their region in the failover list."""
    regions = {own_region: -1}
    for distance, region in enumerate(policy.failover.get(own_region, ())):
        regions.setdefault(region, distance)
    return {name: regions.get(policy.endpoints[name].region, len(regions)) for name in names}


def weights_of(policy: Policy, own_region: str) -> Mapping[str, int] | None:
    """Return the weights of regions for the gateway of ``own_region``; None: it has none, and fails over."""
    locality = policy.preference
    if locality.mode != "distribute":
        return None
    return next((each.to for each in locality.distribute if each.source == own_region), None)


def least_round_trips_s(policy: Policy, own_region: str, names: Iterable[str]) -> dict[str, float]:
    """Return the seconds that a round trip to each endpoint takes at least."""
    own = policy.regions.get(own_region)
    found = {}
    for name in names:
        region = policy.endpoints[name].region
        there = policy.regions.get(region)
        is_here = region == own_region
        places = (own.location if own else None, there.location if there else None)
        found[name] = 0.0 if is_here else least_round_trip_s(*places)
    return found


def _by_labels(policy: Policy, own_region: str, names: Iterable[str]) -> dict[str, int]:
    """Count the labels of failoverPriority less those that are equal from the first on without a gap.

    As Istio has it: who has all of them is preferred.
    """
    wanted = [_wanted(policy, own_region, label) for label in policy.preference.failover_priority]
    found = {}
    for name in names:
        equal = 0
        for label, value in wanted:
            if not value or _label(policy, name, label) != value:
                break
            equal += 1
        found[name] = len(wanted) - equal
    return found


def _wanted(policy: Policy, own_region: str, label: str) -> tuple[str, str]:
    name, given, value = label.partition("=")
    if given:
        return name, value
    if name == REGION:
        return name, own_region
    own = policy.regions.get(own_region)
    return name, own.labels.get(name, "") if own else ""


def _label(policy: Policy, endpoint: str, label: str) -> str:
    definition = policy.endpoints[endpoint]
    if label == REGION:
        return definition.region
    own = definition.labels.get(label)
    if own is not None:
        return own
    region = policy.regions.get(definition.region)
    return region.labels.get(label, "") if region else ""
