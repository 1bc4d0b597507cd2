"""The lint rules about locality; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routing.policy import Policy
from routing.problem import Path, Problem, unknown
from routing.rules.locality import REGION

_PATH: Final = "locality"
_WHOLE: Final = 100


def _regions(policy: Policy) -> Iterator[Problem]:
    for index, each in enumerate(policy.preference.distribute):
        if each.source not in policy.regions:
            path: Path = (_PATH, "distribute", index, "from")
            yield Problem("EW102", path, unknown("region", each.source, policy.regions))
        for name in each.to:
            if name not in policy.regions:
                path = (_PATH, "distribute", index, "to", name)
                yield Problem("EW102", path, unknown("region", name, policy.regions))


def _weights(policy: Policy) -> Iterator[Problem]:
    for index, each in enumerate(policy.preference.distribute):
        total = sum(each.to.values())
        if total != _WHOLE:
            yield Problem(
                "EW120", (_PATH, "distribute", index, "to"), f"the percentages make {total}, not {_WHOLE}"
            )


def _overlaps(policy: Policy) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, each in enumerate(policy.preference.distribute):
        if first.setdefault(each.source, index) != index:
            path = (_PATH, "distribute", index, "from")
            yield Problem("EW121", path, f"'{each.source}' has distribute[{first[each.source]}] already")


def _modes(policy: Policy) -> Iterator[Problem]:
    """A mode has what it goes by, and nothing that goes by another."""
    locality = policy.preference
    wanted = {"distribute": locality.distribute, "failover_priority": locality.failover_priority}
    for mode, given in wanted.items():
        if locality.mode == mode and not given:
            yield Problem("EW122", (_PATH,), f"mode '{mode}' needs `{mode}`")
        if locality.mode != mode and given:
            yield Problem("EW122", (_PATH, mode), f"has no effect in mode '{locality.mode}'")


def _labels(policy: Policy) -> Iterator[Problem]:
    known = {REGION}
    known.update(label for region in policy.regions.values() for label in region.labels)
    known.update(label for endpoint in policy.endpoints.values() for label in endpoint.labels)
    first: dict[str, int] = {}
    for index, label in enumerate(policy.preference.failover_priority):
        path: Path = (_PATH, "failover_priority", index)
        name, equals, value = label.partition("=")
        if equals and not (name and value):
            lacks = "value" if name else "name"
            yield Problem("EW159", path, f"'{label}' lacks the {lacks}: write NAME or NAME=VALUE")
        elif name not in known:
            yield Problem("EW123", path, unknown("label", name, known))
        elif first.setdefault(name, index) != index:
            yield Problem(
                "EW159", path, f"failover_priority[{first[name]}] compares '{name}' already: take one out"
            )


def _unserved(policy: Policy) -> Iterator[Problem]:
    """Regions with a weight, and none of whose endpoints a route has: their part goes to the others."""
    # Thousands of routes may go to the same few regions: the first of them is told.
    routes: dict[frozenset[str], str] = {}
    for route in policy.routes:
        known = (policy.endpoints[name].region for name in route.endpoints if name in policy.endpoints)
        routes.setdefault(frozenset(known), route.name)
    for index, each in enumerate(policy.preference.distribute):
        for there, route_name in routes.items():
            missing = [region for region in each.to if region in policy.regions and region not in there]
            if there and missing:
                yield Problem(
                    "EW220",
                    (_PATH, "distribute", index, "to", missing[0]),
                    f"route '{route_name}' has no endpoint in '{missing[0]}': its part goes to the others",
                )
                break


def _unlocated(policy: Policy) -> Iterator[Problem]:
    if policy.preference.mode != "nearest":
        return
    unlocated = [name for name, region in policy.regions.items() if region.location is None]
    if unlocated:
        yield Problem(
            "EW221",
            ("regions", unlocated[0]),
            "has no location: mode 'nearest' takes it for the furthest until it is measured",
        )


def _overruled(policy: Policy) -> Iterator[Problem]:
    """``failover`` beside weights: Istio lets one have only one of them."""
    named = {each.source for each in policy.preference.distribute}
    for name in policy.failover:
        if policy.preference.mode == "distribute" and name in named:
            yield Problem(
                "EW222", ("failover", name), "has no effect: locality.distribute says where its requests go"
            )


LOCALITY_CHECKS: Final = (
    _regions,
    _weights,
    _overlaps,
    _modes,
    _labels,
    _unserved,
    _unlocated,
    _overruled,
)
