"""The endpoints of all workers, as their parent hands an operator's orders on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.app.workers.ipc import NO_ANSWER, call
from gateway.app.workers.messages import COUNT_LIMIT_S, DesiredState
from gateway.app.workers.worker_counts import Sockets
from gateway.core.control import EndpointControl
from gateway.core.errors import Fault, GatewayError

ChangeAll = Callable[[str, bytes], Awaitable[tuple[int, list[GatewayError]]]]
"""Makes a change in all workers; returns how many have made it, and the errors of the others."""


class SharedEndpoints:
    """Orders go to every worker, and to those to come; the list is that of the first that answers."""

    def __init__(self, serving: Sockets, change_all: ChangeAll, desired: DesiredState) -> None:
        self._serving, self._change_all, self._desired = serving, change_all, desired

    def __repr__(self) -> str:
        return f"<SharedEndpoints, drained {self._desired.drained}>"

    async def listed(self) -> Sequence[Mapping[str, Any]]:
        """Return every endpoint with its members, as the first worker that answers has it.

        Raises:
            GatewayError: UNAVAILABLE when none does.
        """
        for socket in self._serving().values():
            with suppress(*NO_ANSWER):
                answer = await call(socket, "/endpoints", limit_s=COUNT_LIMIT_S)
                return msgspec.json.decode(answer, type=list[dict[str, Any]])
        raise GatewayError(Fault.UNAVAILABLE, "no worker answers", retryable=True)

    async def drain(self, endpoint: str, member: str) -> None:
        """Drain in every worker."""
        label = f"{endpoint}/{member}" if member else endpoint
        done, refusals = await self._change("drain", endpoint, member)
        if done:
            self._desired.drained = sorted({*self._desired.drained, label})
        _raise_first(refusals)

    async def undrain(self, endpoint: str, member: str) -> None:
        """Undrain in every worker."""
        label = f"{endpoint}/{member}" if member else endpoint
        done, refusals = await self._change("undrain", endpoint, member)
        if done:
            self._desired.drained = [name for name in self._desired.drained if name != label]
        _raise_first(refusals)

    async def _change(self, verb: str, endpoint: str, member: str) -> tuple[int, list[GatewayError]]:
        path = f"/endpoints/{quote(endpoint, safe='')}/{verb}"
        return await self._change_all(path, msgspec.json.encode({"member": member}))


def _raise_first(refusals: Sequence[GatewayError]) -> None:
    for refusal in refusals:
        raise refusal


_: type[EndpointControl] = SharedEndpoints
