"""Orders to purge of several workers: one makes the invalidations, and all obey at once."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec

from gateway.admin.purge_routes import PURGE, RECEIPTS, TAKE, ReceiptsQuestion
from gateway.app.workers.ipc import NO_ANSWER, call
from gateway.app.workers.messages import DesiredState
from gateway.app.workers.shared_endpoints import ChangeAll
from gateway.app.workers.worker_counts import Sockets
from gateway.core.errors import Fault, GatewayError
from gateway.core.purge import PurgeOrder, PurgeReport, Purges

_LIMIT_S: Final = 20.0
_MOST_KEPT: Final = 1000


class SharedPurges:
    """Orders go to the first worker that answers, what it has made to every worker, and to those to come."""

    def __init__(self, serving: Sockets, change_all: ChangeAll, desired: DesiredState) -> None:
        self._serving, self._change_all, self._desired = serving, change_all, desired

    def __repr__(self) -> str:
        return f"<SharedPurges, {len(self._desired.invalidated)} for workers to come>"

    async def purge(self, order: PurgeOrder) -> PurgeReport:
        """Have one worker make the invalidations, and all obey.

        Raises:
            GatewayError: as a worker has it; UNAVAILABLE where one does not obey.
        """
        body = msgspec.json.encode(msgspec.structs.replace(order, wait_s=0.0))
        report = msgspec.json.decode(await self._first(PURGE, body, _LIMIT_S), type=PurgeReport)
        if report.made:
            await self.take(report.made)
        return report

    async def take(self, made: tuple[msgspec.Raw, ...]) -> None:
        """Hand them on to every worker.

        Raises:
            GatewayError: a worker does not obey.
        """
        if not any(_is_logged(each) for each in made):
            # Those of a log every worker reads there before it serves.
            kept = [*self._desired.invalidated, *map(_plain, made)]
            self._desired.invalidated = kept if len(kept) <= _MOST_KEPT else [_all_of(kept)]
        _, refusals = await self._change_all(TAKE, msgspec.json.encode(made))
        for refusal in refusals:
            raise refusal

    async def receipts(self, report: PurgeReport, wait_s: float) -> PurgeReport:
        """Return ``report`` with who has it, as one worker finds out."""
        body = msgspec.json.encode(ReceiptsQuestion(report, wait_s))
        return msgspec.json.decode(await self._first(RECEIPTS, body, wait_s + _LIMIT_S), type=PurgeReport)

    async def _first(self, path: str, body: bytes, limit_s: float) -> bytes:
        for socket in self._serving().values():
            with suppress(*NO_ANSWER):
                return await call(socket, path, body, limit_s=limit_s)
        raise GatewayError(Fault.UNAVAILABLE, "no worker answers", retryable=True)


def _plain(made: msgspec.Raw) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(made)
    return found


def _is_logged(made: msgspec.Raw) -> bool:
    return bool(_plain(made).get("log"))


def _all_of(kept: list[dict[str, object]]) -> dict[str, object]:
    """Return what invalidates everything, as late as the last of ``kept``."""
    return {**kept[-1], "scope": {}}


_: type[Purges] = SharedPurges
