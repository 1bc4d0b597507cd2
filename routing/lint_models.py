"""The lint rules about which models endpoints hold, and what they can carry; ``routing.lint`` lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from routing.holdings import VERSION, Holdings, split
from routing.patterns import is_name
from routing.policy import Policy, Route
from routing.problem import Path, Problem

_VERSION: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_NAME: Final = 256


def _entries(policy: Policy) -> Iterator[Problem]:
    for name, endpoint in policy.endpoints.items():
        seen: set[str] = set()
        for index, entry in enumerate(endpoint.models):
            path: Path = ("endpoints", name, "models", index)
            model, version = split(entry)
            if not model or len(model) > _LONGEST_NAME or not model.isprintable() or model != model.strip():
                yield Problem("EW150", path, f"'{model}' is neither a model's name nor a pattern of names")
            elif VERSION in entry and not _VERSION.fullmatch(version):
                yield Problem(
                    "EW150",
                    path,
                    f"'{version}' is no version: write NAME or NAME:VERSION, and in a name that has a colon "
                    "itself a ? for it",
                )
            if entry in seen:
                yield Problem("EW108", path, f"'{entry}' stands here twice")
            seen.add(entry)


def _routes(policy: Policy) -> Iterator[Problem]:
    lists = {name: Holdings.listed(each.models) for name, each in policy.endpoints.items() if each.models}
    if not lists:
        return
    for index, route in enumerate(policy.routes):
        names = [name for name in dict.fromkeys(route.endpoints) if name in policy.endpoints]
        model = route.match.model
        if not is_name(model):
            continue
        for version in _versions(route):
            lacking = [name for name in names if name in lists and not lists[name].has(model, version)]
            what = f"'{model}'" + (f" in version {version}" if version else "")
            path: Path = ("routes", index, "endpoints")
            if lacking and len(lacking) == len(names):
                yield Problem("EW250", path, f"no endpoint of this route lists {what}: clients get its 404")
                continue
            for name in lacking:
                position = route.endpoints.index(name)
                yield Problem(
                    "EW251", (*path, position), f"'{name}' does not list {what}, and is passed over for it"
                )


def _versions(route: Route) -> list[str]:
    """Return the versions that requests of a route are sent for; empty: any."""
    if route.match.version is not None:
        return [route.match.version]
    return [version for version, percent in route.versions.items() if percent] or [""]


def _capacities(policy: Policy) -> Iterator[Problem]:
    used: dict[str, bool] = {}
    for route in policy.routes:
        for name in route.endpoints:
            used[name] = used.get(name, False) or len(set(route.endpoints)) > 1
    for name, endpoint in policy.endpoints.items():
        if endpoint.capacity_rps is not None and used.get(name) is False:
            yield Problem(
                "EW252",
                ("endpoints", name, "capacity_rps"),
                "has no effect: no route has another endpoint for what is beyond it",
            )


MODEL_CHECKS: Final = (_entries, _routes, _capacities)
