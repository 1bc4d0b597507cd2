"""The lint rules about shadows; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator

from routing.lint_routes import tenants_of
from routing.policy import EDGE, Policy, Route
from routing.problem import Path, Problem, unknown
from routing.rules.residency import regions_of
from routing.shadow import Shadow


def _targets(policy: Policy) -> Iterator[Problem]:
    for path, route, shadow in _shadows(policy):
        seen: set[str] = set()
        for position, name in enumerate(shadow.endpoints):
            place: Path = (*path, "endpoints", position)
            if name not in policy.endpoints:
                yield Problem("EW103", place, unknown("endpoint", name, policy.endpoints))
            elif name in seen:
                yield Problem("EW108", place, f"'{name}' stands here twice")
            elif policy.endpoints[name].tier == EDGE:
                yield Problem(
                    "EW171",
                    place,
                    f"'{name}' is another gateway, which would keep the answer and count the request as its "
                    "tenant's: name a central endpoint",
                )
            seen.add(name)
        if not shadow.endpoints and not _centrals(policy, route.endpoints):
            yield Problem("EW172", path, "the route has no central endpoint: name some in shadow.endpoints")


def _sameness(policy: Policy) -> Iterator[Problem]:
    for path, route, shadow in _shadows(policy):
        if shadow.version is None and not shadow.endpoints:
            yield Problem(
                "EW170", path, "it would ask what has just answered: give a version, endpoints, or both"
            )
        elif not shadow.endpoints and set(route.versions) == {shadow.version}:
            yield Problem(
                "EW170",
                (*path, "version"),
                "it is the only one of the route: what answers would be asked again",
            )


def _compared(policy: Policy) -> Iterator[Problem]:
    for path, _, shadow in _shadows(policy):
        for position, name in enumerate(shadow.compare.top1):
            if name in shadow.compare.ignore:
                place: Path = (*path, "compare", "top1", position)
                yield Problem("EW173", place, f"output '{name}' is to be compared and to be ignored")


def _idle(policy: Policy) -> Iterator[Problem]:
    for path, route, shadow in _shadows(policy):
        if shadow.percent == 0:
            yield Problem("EW270", (*path, "percent"), "nothing is mirrored")
        names = _centrals(policy, shadow.endpoints or route.endpoints)
        if names and all(policy.endpoints[name].drain for name in names):
            yield Problem("EW270", path, "nothing is mirrored: its endpoints are all drained")


def _outside(policy: Policy) -> Iterator[Problem]:
    """Say whose requests are never mirrored, because residency keeps them from the shadow's endpoints."""
    for path, route, shadow in _shadows(policy):
        names = _centrals(policy, shadow.endpoints or route.endpoints)
        regions = {policy.endpoints[name].region for name in names}
        classes = {tenant.residency for tenant in tenants_of(policy, route).values()}
        for residency in sorted(classes & policy.residency.keys()) if regions else ():
            if not regions & regions_of(policy, residency):
                yield Problem(
                    "EW271",
                    path,
                    f"requests of class '{residency}' are not mirrored: none of these endpoints is allowed",
                )


def _centrals(policy: Policy, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in policy.endpoints and policy.endpoints[name].tier != EDGE]


def _shadows(policy: Policy) -> Iterator[tuple[Path, Route, Shadow]]:
    for index, route in enumerate(policy.routes):
        if route.shadow is not None:
            yield ("routes", index, "shadow"), route, route.shadow


SHADOW_CHECKS = (_targets, _sameness, _compared, _idle, _outside)
