"""What `edgeway policy explain` shows of locality: which endpoints are preferred, and by what."""

from __future__ import annotations

from routing.policy import Policy
from routing.rules.locality import least_round_trips_s, levels, weights_of


def preferred(policy: Policy, region: str, names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return ``names`` in the order in which the gateway of ``region`` tries them, and say why so.

    ``names`` are in the order of ``reachable``; nothing is measured yet, and all are well.
    """
    locality = policy.preference
    if locality.mode == "nearest":
        return _by_distance(policy, region, names)
    if (weights := weights_of(policy, region)) is not None:
        regions = list(dict.fromkeys(policy.endpoints[name].region for name in names))
        # Sorting is stable, as in the router: endpoints of one region stay as the route has them.
        regions.sort(key=weights.__getitem__, reverse=True)
        total = sum(weights[each] for each in regions) or 1
        shares = ", ".join(f"{each} {100 * weights[each] / total:.3g} %" for each in regions)
        ordered = sorted(names, key=lambda name: regions.index(policy.endpoints[name].region))
        return tuple(ordered), f"distribute: {shares or 'no region with a weight may be used'}"
    if locality.mode == "failover_priority":
        wanted = len(locality.failover_priority)
        far = levels(policy, region, names)
        common = ", ".join(f"{name} {wanted - far[name]} of {wanted}" for name in names)
        return names, f"failover_priority {', '.join(locality.failover_priority)}: equal labels: {common}"
    order = ", ".join((region, *policy.failover.get(region, ())))
    note = f"; distribute says nothing of {region}" if locality.mode == "distribute" else ""
    return names, f"failover: {order}, then the rest{note}"


def panic(policy: Policy) -> list[tuple[str, str]]:
    """Return the line of when requests go to members that are out; none where they never do."""
    percent = policy.preference.healthy_panic_threshold
    if not percent:
        return []
    when = (
        f"fewer than {percent:g} % of an endpoint's members are well, and all endpoints cannot carry the load"
    )
    return [("panic", f"while {when}, requests go to members that are out, too")]


def _by_distance(policy: Policy, region: str, names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    least_s = least_round_trips_s(policy, region, names)
    ordered = tuple(sorted(names, key=least_s.__getitem__))
    own, regions = policy.regions[region].location, policy.regions

    def distance(name: str) -> str:
        there = policy.endpoints[name].region
        if there != region and (own is None or regions[there].location is None):
            return f"{name} unknown"
        return f"{name} {1000 * least_s[name]:.3g} ms"

    distances = ", ".join(map(distance, ordered))
    return ordered, f"nearest: by measured round trips; until there are some, by distance: {distances}"
