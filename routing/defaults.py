"""What routes and endpoints inherit from the policy's ``defaults``: one level, each field as a whole.

A route that does not name a field has that of the defaults; one that names it has its own, and nothing of the
two is merged; null is the field as if there were no defaults. It is done once, on what was decoded: all else
sees whole routes. Inherited values are shared and not copied, so that a large one costs no more under three
thousand routes than under one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Optional

import msgspec

from routing.policy import Endpoint, Policy, Route
from routing.problem import Path, Problem

NOT_OF_ROUTES: Final = frozenset({"name", "match", "versions", "version_override", "digest", "endpoints"})
"""What a route is, and what it is for; all else, also what is to come, says how its requests are treated."""

NOT_OF_ENDPOINTS: Final = frozenset(
    {
        "tier",
        "region",
        "protocol",
        "address",
        "addresses",
        "host",
        "path_prefix",
        "headers",
        "capacity_rps",
        "models",
        "labels",
        "drain",
    }
)
"""What an endpoint is, where, and what it has; all else says how it is reached and watched."""

_KINDS: Final[dict[str, tuple[type[msgspec.Struct], Collection[str]]]] = {
    "routes": (Route, NOT_OF_ROUTES),
    "endpoints": (Endpoint, NOT_OF_ENDPOINTS),
}

Key = tuple[str, str | int]


@dataclass(frozen=True, slots=True)
class InheritedFields:
    """Which fields come from the defaults: of ``("routes", 3)``, of ``("endpoints", "central")``."""

    fields: Mapping[Key, Collection[str]] = field(default_factory=dict)

    def of(self, section: str, key: str | int) -> Collection[str]:
        """Return the fields that one route or endpoint inherits."""
        return self.fields.get((section, key), ())

    def source(self, path: Path) -> Path | None:
        """Return the place in ``defaults`` of the value at ``path``; None: it is no inherited one."""
        if len(path) < 3 or path[2] not in self.of(str(path[0]), path[1]):
            return None
        return ("defaults", path[0], *path[2:])


NOTHING_INHERITED: Final = InheritedFields()


def inheritable(section: str) -> tuple[str, ...]:
    """Return the fields that a route, or an endpoint, may inherit."""
    kind, own = _KINDS[section]
    return tuple(name for name in kind.__struct_fields__ if name not in own)


def _shape(section: str) -> type[msgspec.Struct]:
    kind, own = _KINDS[section]
    fields = [
        (each.name, Optional[each.type], None)  # noqa: UP045 - of a type that is known at run time only
        for each in msgspec.structs.fields(kind)
        if each.name not in own
    ]
    return msgspec.defstruct(
        f"{kind.__name__}Defaults", fields, frozen=True, forbid_unknown_fields=True, kw_only=True
    )


_Defaults: Final = msgspec.defstruct(
    "Defaults",
    [(section, shape, shape()) for section in _KINDS for shape in (_shape(section),)],
    frozen=True,
    forbid_unknown_fields=True,
)
WITH_DEFAULTS: Final = msgspec.defstruct("WithDefaults", [("defaults", _Defaults, _Defaults())])
"""The whole file as far as its defaults go: they are decoded by themselves, under their own path."""


def misplaced(values: Any) -> Path | None:
    """Return the first field among the defaults that each route, or endpoint, has to say for itself."""
    for section, (_, own) in _KINDS.items():
        for name in _mapping(_mapping(_mapping(values).get("defaults")).get(section)):
            if name in own:
                return ("defaults", section, name)
    return None


def without_nulls(values: Any) -> Any:
    """Return the file's ``values`` without the fields that are null so that they are not inherited."""
    if not isinstance(values, dict):
        return values
    changed = dict(values)
    if isinstance(routes := values.get("routes"), list):
        names = frozenset(inheritable("routes"))
        changed["routes"] = [_named(each, names) for each in routes]
    if isinstance(endpoints := values.get("endpoints"), dict):
        names = frozenset(inheritable("endpoints"))
        changed["endpoints"] = {key: _named(each, names) for key, each in endpoints.items()}
    return changed


def inherit(policy: Policy, values: Any, decoded: Any) -> tuple[Policy, InheritedFields]:
    """Return ``policy`` with what is inherited in its place, and what that is.

    ``values``: the file of which it was decoded, nulls included. ``decoded``: its ``WITH_DEFAULTS``.
    """
    given = {section: _given(getattr(decoded.defaults, section)) for section in _KINDS}
    fields: dict[Key, Collection[str]] = {}

    def filled(section: str, key: str | int, struct: msgspec.Struct, own: Mapping[str, Any]) -> Any:
        taken = {name: value for name, value in given[section].items() if name not in own}
        if not taken:
            return struct
        fields[section, key] = frozenset(taken)
        return msgspec.structs.replace(struct, **taken)

    changes: dict[str, Any] = {}
    if given["routes"]:
        written = zip(policy.routes, values["routes"], strict=True)
        changes["routes"] = tuple(filled("routes", index, *each) for index, each in enumerate(written))
    if given["endpoints"]:
        changes["endpoints"] = {
            name: filled("endpoints", name, each, values["endpoints"][name])
            for name, each in policy.endpoints.items()
        }
    if not changes:
        return policy, NOTHING_INHERITED
    return msgspec.structs.replace(policy, **changes), InheritedFields(fields)


def unused(policy: Policy, inheritance: InheritedFields) -> Iterator[Problem]:
    """Find the defaults that nobody inherits."""
    used = {(section, name) for (section, _), names in inheritance.fields.items() for name in names}
    for section in _KINDS:
        for name, value in getattr(policy.defaults, section).items():
            if value is not None and (section, name) not in used:
                yield Problem(
                    "EW268",
                    ("defaults", section, name),
                    f"none of the {section} inherits it: each has its own",
                )


def _given(defaults: msgspec.Struct) -> dict[str, Any]:
    found = {name: getattr(defaults, name) for name in defaults.__struct_fields__}
    return {name: value for name, value in found.items() if value is not None}


def _named(written: Any, names: frozenset[str]) -> Any:
    if not isinstance(written, dict) or None not in written.values():
        return written
    return {name: value for name, value in written.items() if value is not None or name not in names}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
