"""What happens to a copy of an answered request: it is sent, and what comes back is compared and counted."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from gateway.core.agreement import Difference, Tolerance, difference
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError, masked, printable
from gateway.core.held_bytes import held_bytes
from gateway.core.request import Request, Response
from gateway.core.service import Service
from gateway.core.telemetry import ShadowFinished, Telemetry
from resilience.shadows import Errand, ShadowQueue
from routing.mirror import Mirrored

SMALL_BYTES: Final = 64 << 10
"""Answers up to this size are compared on the loop; that takes less than a millisecond."""

_MAX_ID: Final = 64

_log: Final = logging.getLogger("edgeway.shadow")


class ShadowTrials:
    """Those of one route; called with what was answered, it returns at once.

    Each ends in one result: ``agreed``, ``differed``, ``failed`` (it got an error), ``timeout``, ``dropped``
    (no room, or no time left before it was sent, or the process leaves) or ``unavailable`` (none of the
    endpoints can be used now). The first, second, fourth, eighth … that differs or fails is in the log,
    without values.

    Args:
        route: how it is counted.
        queue: where copies wait for their turn.
        mirrors: name of an endpoint → where copies for it are sent; what happens there is held against none.
        is_available: whether an endpoint can be used now.
        tolerance: what answers may differ in.
        clock: the clock of deadlines.
        telemetry: gets every result.
    """

    def __init__(
        self,
        route: str,
        queue: ShadowQueue,
        *,
        mirrors: Mapping[str, Service],
        is_available: Callable[[str], bool],
        tolerance: Tolerance,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._route, self._queue, self._mirrors, self._is_available = route, queue, mirrors, is_available
        self._tolerance, self._clock, self._telemetry = tolerance, clock, telemetry
        self._results: Counter[str] = Counter()

    def __repr__(self) -> str:
        results = ", ".join(f"{count} {result}" for result, count in sorted(self._results.items()))
        return f"{self._queue!r}, {results or 'no results'}"

    def __call__(self, mirrored: Mirrored) -> None:
        """Have a copy sent; where there is no room it is dropped."""
        mirrored = _bare(mirrored)
        size = held_bytes(mirrored.copy, mirrored.response)
        self._queue.put(Errand(size, lambda: self._try(mirrored), lambda: self._end("dropped")))

    async def _try(self, mirrored: Mirrored) -> None:
        copy = mirrored.copy
        if self._clock.now() >= copy.deadline:
            return self._end("dropped")
        name = next(filter(self._is_available, mirrored.endpoints), None)
        if name is None:
            return self._end("unavailable")
        began = self._clock.tick()
        try:
            async with asyncio.timeout_at(copy.deadline):
                response = await self._mirrors[name](copy)
            later_s = self._clock.tick() - began - mirrored.seconds
            found = await self._compare(mirrored.response, response)
        except TimeoutError:
            return self._end("timeout")
        except GatewayError as error:
            return self._fail(name, copy, error)
        self._end("differed" if found else "agreed", later_s)
        if found:
            self._log("differed", f"the answer of {name} differs: {found}", copy)
        return None

    def _fail(self, name: str, copy: Request, error: GatewayError) -> None:
        if error.fault is Fault.DEADLINE:
            return self._end("timeout")
        self._end("failed")
        # The message may quote values.
        return self._log("failed", f"{name} failed: {masked(error.message)}", copy)

    async def _compare(self, ours: Response, theirs: Response) -> Difference | None:
        if sum([len(tensor.data) for tensor in theirs.outputs]) <= SMALL_BYTES:
            return difference(ours, theirs, self._tolerance)
        return await asyncio.to_thread(difference, ours, theirs, self._tolerance)

    def _end(self, result: str, later_s: float | None = None) -> None:
        self._results[result] += 1
        self._telemetry.emit(ShadowFinished(self._route, result, later_s))

    def _log(self, result: str, text: str, copy: Request) -> None:
        count = self._results[result]
        if count & (count - 1):
            return
        version = f" (version {copy.version})" if copy.version else ""
        request_id = f", request {printable(copy.id, _MAX_ID)}" if copy.id else ""
        _log.warning("shadow of route %s%s: %s%s; %d so far", self._route, version, text, request_id, count)


def _bare(mirrored: Mirrored) -> Mirrored:
    """Return it with nothing that was made of its tensors for somebody else."""
    copy, response = mirrored.copy, mirrored.response
    return replace(
        mirrored,
        copy=replace(copy, inputs=tuple([tensor.bare() for tensor in copy.inputs])),
        response=replace(response, outputs=tuple([tensor.bare() for tensor in response.outputs])),
    )
