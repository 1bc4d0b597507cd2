"""What an operator sees of the endpoints in force, and does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.app.endpoint_set import EndpointSet
from gateway.app.pools.drained import Drained
from gateway.app.pools.pool import EndpointPool
from gateway.core.control import EndpointControl
from gateway.core.errors import Fault, GatewayError, printable
from gateway.telemetry.members import MemberRow
from routing.problem import unknown

MOST: Final = 4096
"""Names that can be drained at a time."""


class OperatedEndpoints:
    """The endpoints in force. What is drained stays so through reloads, until it is undrained."""

    def __init__(self, in_use: Callable[[], EndpointSet], drained: Drained) -> None:
        self._in_use, self._drained = in_use, drained

    def __repr__(self) -> str:
        return f"<OperatedEndpoints {self._drained!r}>"

    async def listed(self) -> Sequence[Mapping[str, Any]]:
        """Return every endpoint with its members."""
        return [_row(pool, self._drained) for pool in self._in_use().by_name.values()]

    async def drain(self, endpoint: str, member: str) -> None:
        """Send nothing new to an endpoint, or to one member of it; what is under way there goes on.

        Raises:
            GatewayError: NOT_FOUND where there is no such endpoint or member in force.
        """
        label = self._label(endpoint, member)
        if len(self._drained.names) >= MOST and label not in self._drained:
            raise GatewayError(Fault.INVALID, f"{MOST} names are drained already: undrain some first")
        self._drained.drain(label)

    async def undrain(self, endpoint: str, member: str) -> None:
        """Send to an endpoint, or to one member, again.

        Raises:
            GatewayError: NOT_FOUND where it is neither in force nor drained; INVALID where the policy drains
                it.
        """
        label = f"{endpoint}/{member}" if member else endpoint
        if label not in self._drained:
            self._label(endpoint, member)
            if not member and self._in_use().by_name[endpoint].definition.drain:
                raise GatewayError(
                    Fault.INVALID,
                    f"the policy drains endpoint '{endpoint}': take `drain: true` out of its definition",
                )
        self._drained.undrain(label)

    def keep(self, label: str) -> None:
        """Drain what other workers have drained, whether or not it is in force here."""
        self._drained.drain(label)

    def rows(self) -> Iterator[MemberRow]:
        """Yield the members of all endpoints, for the metrics."""
        for pool in self._in_use().by_name.values():
            for each in pool.members:
                yield MemberRow(
                    endpoint=pool.name,
                    member=each.name,
                    state=each.parts.health.state,
                    is_drained=pool.is_drained or each.is_drained,
                    active=each.active,
                    latency_s=each.latency_s,
                    requests=each.parts.meter.requests,
                    failures=each.parts.meter.failures,
                    num_models=None if each.holdings is None else len(each.holdings.versions),
                )

    def _label(self, endpoint: str, member: str) -> str:
        by_name = self._in_use().by_name
        pool = by_name.get(endpoint)
        if pool is None:
            raise GatewayError(Fault.NOT_FOUND, unknown("endpoint", printable(endpoint), by_name))
        if not member:
            return endpoint
        members = [each.name for each in pool.members]
        if member not in members:
            raise GatewayError(
                Fault.NOT_FOUND, f"endpoint '{endpoint}': {unknown('member', printable(member), members)}"
            )
        return f"{endpoint}/{member}"


def _row(pool: EndpointPool, drained: Drained) -> Mapping[str, Any]:
    definition = pool.definition
    by = "policy" if definition.drain else "operator" if pool.name in drained else ""
    return {
        "endpoint": pool.name,
        "tier": definition.tier,
        "region": definition.region,
        "protocol": definition.protocol,
        "state": pool.state,
        "drained": by,
        "problem": pool.roster.resolution.problem,
        **pool.models.report(),
        "members": [{"member": each.name, **each.report()} for each in pool.members],
    }


_: type[EndpointControl] = OperatedEndpoints
