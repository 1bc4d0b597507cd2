"""The parent's side of what several workers say and do as one: sums of counts, orders to all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from gateway.admin.management_routes import json_handler, management_routes
from gateway.app.workers.ipc import NO_ANSWER, NOBODY_THERE, ask
from gateway.app.workers.messages import (
    COUNT_S,
    ORDER_S,
    SharedTracing,
    StandingSettings,
    count_routes,
    decoded,
    model_path,
)
from gateway.core.control import Log, Setting, Tracing
from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import IndexEntry, Loader
from gateway.core.request import Parameter
from gateway.core.statistics import Counted, Statistics

_LOG: Final = logging.getLogger("edgeway.workers")
Crew = Callable[[], Mapping[int, Path]]


class Coordinator:
    """Statistics, models and log of all workers.

    A count that was told once is never taken back: what a worker told last stands for it while it does not
    answer, and after it has gone.

    Args:
        serving: serial → socket of the workers that serve, those that leave among them.
        listening: likewise, of those that take orders or will soon.
        log, tracing: the parent's own; it traces nothing, and knows what workers would not take.
    """

    def __init__(self, serving: Crew, listening: Crew, *, log: Log, tracing: Tracing) -> None:
        self._serving, self._listening = serving, listening
        self._log, self._tracing = log, tracing
        # Workers do what they are ordered in one order, and one that starts knows the orders until then.
        self._turn = asyncio.Lock()
        self._standing = StandingSettings()
        self._counting = asyncio.Lock()
        self._asked = self._answered = 0
        self._counts: dict[int, Counted] = {}
        self._final: set[int] = set()
        self._gone = Counted()

    def __repr__(self) -> str:
        return f"<Coordinator to {len(self._serving())} workers, unloaded {self._standing.unloaded}>"

    async def counted(self) -> Counted:
        """Return what all workers have counted, those that are gone as well."""
        self._asked += 1
        asked = self._asked
        async with self._counting:
            # Whoever came before a round of questions began is answered by it: anybody may ask, and many
            # that do shall not cost the workers more than one.
            if self._answered < asked:
                self._answered = self._asked
                crew = self._serving()
                await asyncio.gather(*(self._count(serial, socket) for serial, socket in crew.items()))
        counts = (self._gone, *self._counts.values())
        return Counted(part for counted in counts for part in counted.parts())

    def settle(self, serial: int, counted: Counted) -> None:
        """Take ``counted`` as the last word of a worker that leaves."""
        self._counts[serial] = counted
        self._final.add(serial)

    def forget(self, serial: int) -> None:
        """Keep the counts of a worker that has gone, and nothing else of it."""
        gone = self._counts.pop(serial, Counted())
        self._final.discard(serial)
        self._gone = Counted((*self._gone.parts(), *gone.parts()))

    async def index(self) -> list[IndexEntry]:
        """Return every version of every model, as the first worker that answers has it.

        Raises:
            GatewayError: UNAVAILABLE when none does.
        """
        for socket in self._serving().values():
            with suppress(*NO_ANSWER):
                answer = await ask(socket, "/v2/repository/index", b"", limit_s=COUNT_S)
                return msgspec.json.decode(answer, type=list[IndexEntry])
        raise _nobody()

    async def load(self, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:
        """Load ``model`` in every worker."""
        body = msgspec.json.encode({"parameters": parameters})
        async with self._turn:
            done, refusals = await self._order(model_path(model, "load"), body)
            if done:
                self._standing.unloaded = [name for name in self._standing.unloaded if name != model]
        _raise_first(refusals if done else [*refusals, _nobody()])

    async def unload(self, model: str, *, dependents: bool = False) -> None:
        """Unload ``model`` in every worker, and in those to come."""
        body = msgspec.json.encode({"parameters": {"unload_dependents": dependents}})
        async with self._turn:
            done, refusals = await self._order(model_path(model, "unload"), body)
            if done:
                self._standing.unloaded = sorted({*self._standing.unloaded, model})
        _raise_first(refusals if done else [*refusals, _nobody()])

    def read(self) -> dict[str, Setting]:
        """Return the log settings in force."""
        return self._log.read()

    async def change(self, wanted: Mapping[str, object]) -> dict[str, Setting]:
        """Change the log settings here, in every worker, and in those to come."""
        async with self._turn:
            settings = await self._log.change(wanted)
            self._standing.logging = {**self._standing.logging, **wanted}
            _, refusals = await self._order("/v2/logging", msgspec.json.encode(wanted))
        _raise_first(refusals)
        return settings

    async def _change_tracing(self, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
        async with self._turn:
            settings = await self._tracing.change(wanted)
            self._standing.tracing = settings
            _, refusals = await self._order("/v2/trace/setting", msgspec.json.encode(wanted))
        _raise_first(refusals)
        return settings

    def management_routes(self) -> list[web.RouteDef]:
        """Return the routes on which an operator orders all workers."""
        return management_routes(
            self, self, SharedTracing(self._tracing, self._change_tracing), index=self.index
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes on which workers ask and tell their parent, those of an operator among them."""

        async def settle(request: web.Request) -> bytes:
            self.settle(int(request.match_info["serial"]), decoded(await request.read()))
            return b""

        async def standing(_request: web.Request) -> bytes:
            # An order that is under way has not reached who asks, if it did not listen when that began.
            async with self._turn:
                return msgspec.json.encode(self._standing)

        return [
            *count_routes(self),
            *self.management_routes(),
            web.post(r"/statistics/{serial:\d+}", json_handler(settle)),
            web.get("/standing", json_handler(standing)),
        ]

    async def _count(self, serial: int, socket: Path) -> None:
        try:
            counted = decoded(await ask(socket, "/statistics", limit_s=COUNT_S))
        except (*NO_ANSWER, GatewayError, msgspec.MsgspecError) as error:
            if serial not in self._final:
                _LOG.warning("%s of process %d: what it has told last counts", type(error).__name__, serial)
            return
        if serial in self._serving() and serial not in self._final:
            self._counts[serial] = counted

    async def _order(self, path: str, body: bytes) -> tuple[int, list[GatewayError]]:
        """Order all at once; return how many did it, and what the others say against it.

        What at least one has done stands for those to come: whoever ordered it is told to do so again.
        """
        crew = self._listening()
        outcomes = await asyncio.gather(*(self._order_one(*each, path, body) for each in crew.items()))
        refusals = [outcome for outcome in outcomes if isinstance(outcome, GatewayError)]
        return sum(outcome is True for outcome in outcomes), refusals

    async def _order_one(self, serial: int, socket: Path, path: str, body: bytes) -> bool | GatewayError:
        try:
            await ask(socket, path, body, limit_s=ORDER_S)
        except GatewayError as error:
            return error
        except NOBODY_THERE:
            # It will ask for the orders that stand before it serves.
            return False
        except NO_ANSWER as error:
            _LOG.error("worker process %d does not do as ordered: %s", serial, type(error).__name__)
            return GatewayError(Fault.UNAVAILABLE, "a worker did not answer", retryable=True)
        return True


def _nobody() -> GatewayError:
    return GatewayError(Fault.UNAVAILABLE, "no worker answers", retryable=True)


def _raise_first(refusals: Sequence[GatewayError]) -> None:
    for refusal in refusals:
        raise refusal


_: tuple[type[Statistics], type[Loader], type[Log]] = (Coordinator, Coordinator, Coordinator)
