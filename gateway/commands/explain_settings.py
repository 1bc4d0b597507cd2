"""What `edgeway policy explain` shows of the settings of routes and endpoints, and whose each is."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from routing.defaults import inheritable
from routing.endpoint import Endpoint
from routing.policy import Policy, Route

_OF_GATEWAYS: Final = frozenset({"timeout_ms", "per_try_timeout_ms", "num_retries", "retry_on"})
"""Fields of routes that are a gateway's own settings where neither the route nor the defaults have them."""

_SAID_BEFORE: Final = frozenset({"credential", "tls", "load_balancing", "health_check"})
"""Blocks of endpoints whose values the lines before have."""

_INHERITED: Final = "the policy's defaults"


def rows_of_route(policy: Policy, route: Route, inherited: Collection[str]) -> list[tuple[str, str]]:
    """Return a line for each setting that the route or the defaults have, and one for the gateway's."""
    found = _settings("routes", route, inherited, policy.defaults.routes)
    rows = [("settings", f"{name} {value} ({whose})") for name, value, whose in found if whose]
    left = [name for name, _, whose in found if not whose and name in _OF_GATEWAYS]
    return [*rows, *([("settings", f"{', '.join(left)} (each gateway's settings)")] if left else [])]


def row_of_endpoint(
    policy: Policy, number: int, endpoint: Endpoint, inherited: Collection[str]
) -> list[tuple[str, str]]:
    """Return the line of what an endpoint inherits, and of what it has instead; none where nothing can be."""
    defaults = policy.defaults.endpoints
    found = []
    for name, value, whose in _settings("endpoints", endpoint, inherited, defaults):
        is_said = name in _SAID_BEFORE and isinstance(getattr(endpoint, name), msgspec.Struct)
        if whose and (not is_said or name in defaults):
            found.append(f"{name} ({whose})" if is_said else f"{name} {value} ({whose})")
    return [(f"settings {number}", "; ".join(found))] if found else []


def _settings(
    section: str, struct: msgspec.Struct, inherited: Collection[str], defaults: dict[str, Any]
) -> list[tuple[str, str, str]]:
    """Return each field's name, its value in words, and whose it is; empty: nobody's."""
    plain = {
        each.name: each.default_factory() if each.default is msgspec.NODEFAULT else each.default
        for each in msgspec.structs.fields(type(struct))
        if not each.required
    }
    found = []
    for name in inheritable(section):
        value = getattr(struct, name)
        is_named = value != plain[name] or defaults.get(name) is not None
        whose = _INHERITED if name in inherited else "its own" if is_named else ""
        found.append((name, in_words(value), whose))
    return found


def in_words(value: Any) -> str:
    """Return a value of a policy in one line; absent parts of a block are left out."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        parts = [f"{key} {in_words(each)}" for key, each in value.items() if each not in (None, [], (), {})]
        return ", ".join(parts) or "all as it is"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(in_words, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
