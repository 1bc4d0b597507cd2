"""The lint rules about hedging; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from routing.policy import Endpoint, Policy, Route
from routing.problem import Problem


def _too_late(policy: Policy) -> Iterator[Problem]:
    """A delay that is as long as the whole request, or as every attempt."""
    for index, route in enumerate(policy.routes):
        if route.hedge is None:
            continue
        name = "min_delay_ms" if route.hedge.delay_ms is None else "delay_ms"
        delay_ms = route.hedge.delay_ms or route.hedge.min_delay_ms
        path = ("routes", index, "hedge", name)
        if route.timeout_ms is not None and delay_ms >= route.timeout_ms:
            yield Problem(
                "EW175",
                path,
                f"{delay_ms:g} ms: the request is over by then, its timeout_ms is {route.timeout_ms}",
            )
        longest_ms = _longest_attempt_ms(policy, route)
        if longest_ms is not None and delay_ms >= longest_ms:
            yield Problem(
                "EW176", path, f"{delay_ms:g} ms: no attempt lasts so long, it gets {longest_ms} ms at most"
            )


def _nowhere(policy: Policy) -> Iterator[Problem]:
    """A hedge goes to another member, and there is none."""
    for index, route in enumerate(policy.routes):
        endpoints = _endpoints(policy, route)
        if route.hedge is not None and len(endpoints) == 1 and _is_single(endpoints[0]):
            yield Problem(
                "EW275",
                ("routes", index, "hedge"),
                f"has no effect: the route has one endpoint, '{route.endpoints[0]}', and that one member",
            )


def _longest_attempt_ms(policy: Policy, route: Route) -> int | None:
    """Return what an attempt gets at most, by the route or by each of its endpoints; None: nothing says."""
    limits = [each.attempt_timeout_ms for each in _endpoints(policy, route)]
    known = [each for each in limits if each is not None]
    longest = [max(known)] if known and len(known) == len(limits) else []
    return min([*longest, *filter(None, (route.per_try_timeout_ms,))], default=None)


def _endpoints(policy: Policy, route: Route) -> list[Endpoint]:
    return [policy.endpoints[name] for name in dict.fromkeys(route.endpoints) if name in policy.endpoints]


def _is_single(endpoint: Endpoint) -> bool:
    """Whether it can never have a second member: a name among ``addresses`` may lead to several."""
    if not endpoint.addresses:
        return True
    if len(endpoint.addresses) > 1:
        return False
    host = endpoint.members[0].address.rpartition(":")[0].strip("[]")
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


HEDGING_CHECKS: Final = (_too_late, _nowhere)
