"""What all workers have counted, of everybody or of one tenant: sums that never go down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateway.app.workers.ipc import NO_ANSWER, call
from gateway.app.workers.messages import COUNT_LIMIT_S, decode_counts, statistics_path
from gateway.core.errors import GatewayError
from gateway.core.statistics import Counted

_LOG: Final = logging.getLogger("edgeway.workers")
Sockets = Callable[[], Mapping[int, Path]]


class WorkerCounts:
    """The last counts of a worker are used while it does not answer, and after it has gone.

    Args:
        serving: serial → socket of the workers that serve, those that leave among them.
        tenant: of whom; empty: of everybody.
    """

    def __init__(self, serving: Sockets, tenant: str = "") -> None:
        self._serving, self._path = serving, statistics_path(tenant)
        self._counting = asyncio.Lock()
        self._num_calls = self._num_served = 0
        self._counts: dict[int, Counted] = {}
        self._final: set[int] = set()
        self._gone = Counted()

    def __repr__(self) -> str:
        return f"<WorkerCounts at {self._path} of {len(self._counts)} workers>"

    async def counted(self) -> Counted:
        """Return what all workers have counted, those that are gone as well."""
        self._num_calls += 1
        number = self._num_calls
        async with self._counting:
            # One round of calls to the workers serves every caller that came before it began: any client may
            # ask for statistics, and many at once must not cost the workers more than one.
            if self._num_served < number:
                self._num_served = self._num_calls
                await asyncio.gather(*(self._count(*worker) for worker in self._serving().items()))
        counts = (self._gone, *self._counts.values())
        return Counted(part for counted in counts for part in counted.parts())

    def keep_final(self, serial: int, counted: Counted) -> None:
        """Keep ``counted`` as the final counts of a worker that leaves."""
        self._counts[serial] = counted
        self._final.add(serial)

    def forget(self, serial: int) -> None:
        """Keep the counts of a worker that has gone, and nothing else of it."""
        gone = self._counts.pop(serial, Counted())
        self._final.discard(serial)
        self._gone = Counted((*self._gone.parts(), *gone.parts()))

    async def _count(self, serial: int, socket: Path) -> None:
        try:
            counted = decode_counts(await call(socket, self._path, limit_s=COUNT_LIMIT_S))
        except (*NO_ANSWER, GatewayError, msgspec.MsgspecError) as error:
            if serial not in self._final:
                _LOG.warning("%s of process %d: its last counts are used", type(error).__name__, serial)
            return
        if serial in self._serving() and serial not in self._final:
            self._counts[serial] = counted
