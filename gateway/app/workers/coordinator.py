"""The parent's side of what several workers are as one: sums of their counts, changes made in all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from edge_models.loads import Loads
from gateway.admin.cache_routes import cache_routes
from gateway.admin.endpoint_routes import endpoint_routes
from gateway.admin.management_routes import json_handler, management_routes
from gateway.app.workers.ipc import NO_ANSWER, NOT_LISTENING, call
from gateway.app.workers.messages import (
    CHANGE_LIMIT_S,
    COUNT_LIMIT_S,
    MOST_OVERRIDES,
    DesiredState,
    SharedTracing,
    count_routes,
    decode_counts,
    decode_tenant_counts,
    model_path,
)
from gateway.app.workers.shared_cache import SharedCache
from gateway.app.workers.shared_endpoints import SharedEndpoints
from gateway.app.workers.worker_counts import Sockets, WorkerCounts
from gateway.core.catalog import IndexEntry
from gateway.core.control import Log, Setting, Tracing
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.repository import Loader
from gateway.core.request import Parameter
from gateway.core.statistics import Counted, Statistics

_LOG: Final = logging.getLogger("edgeway.workers")


class Coordinator:
    """Statistics, models, log and trace settings of all workers.

    Args:
        serving: serial → socket of the workers that serve, those that leave among them.
        listening: likewise, of those that can be called or soon can be.
        log, tracing: the parent's own; it traces nothing, but refuses what workers would refuse.
    """

    def __init__(self, serving: Sockets, listening: Sockets, *, log: Log, tracing: Tracing) -> None:
        self._serving, self._listening = serving, listening
        self._log, self._tracing = log, tracing
        # All workers make changes in the same order, and a worker that starts gets the state until then.
        self._changing = asyncio.Lock()
        self._loads = Loads()
        self._desired = DesiredState()
        self.endpoints = SharedEndpoints(serving, self._change_in_turn, self._desired)
        """As an operator sees and drains them."""
        self.cache = SharedCache(serving)
        """As an operator looks into it."""
        self._counts: dict[str, WorkerCounts] = {}

    def __repr__(self) -> str:
        return f"<Coordinator of {len(self._serving())} workers, unloaded {self._desired.unloaded}>"

    async def counted(self, tenant: str = "") -> Counted:
        """Return what all workers have counted, those that are gone as well."""
        return await self._of(tenant).counted()

    def keep_final(self, serial: int, counted: Counted, tenant: str = "") -> None:
        """Keep ``counted`` as the final counts of a worker that leaves."""
        self._of(tenant).keep_final(serial, counted)

    def forget(self, serial: int) -> None:
        """Keep the counts of a worker that has gone, and nothing else of it."""
        for counts in self._counts.values():
            counts.forget(serial)

    def _of(self, tenant: str) -> WorkerCounts:
        if tenant not in self._counts:
            self._counts[tenant] = WorkerCounts(self._serving, tenant)
        return self._counts[tenant]

    async def index(self) -> list[IndexEntry]:
        """Return every version of every model, as the first worker that answers has it.

        Raises:
            GatewayError: UNAVAILABLE when none does.
        """
        for socket in self._serving().values():
            with suppress(*NO_ANSWER):
                answer = await call(socket, "/v2/repository/index", b"", limit_s=COUNT_LIMIT_S)
                return msgspec.json.decode(answer, type=list[IndexEntry])
        raise _no_answer()

    async def load(self, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:
        """Load ``model`` in every worker, and so in those to come.

        Raises:
            GatewayError: INVALID when ``parameters`` are too large to be kept for those to come.
        """
        override = msgspec.to_builtins(parameters)
        body = msgspec.json.encode({"parameters": override})
        async with self._loads.turn(model):
            self._check_room(model, override)
            done, refusals = await self._change_all(model_path(model, "load"), body)
            if done:
                self._desired.unloaded = [name for name in self._desired.unloaded if name != model]
                self._keep_override(model, override)
        _raise_first(refusals if done else [*refusals, _no_answer()])

    async def unload(self, model: str, *, dependents: bool = False) -> None:
        """Unload ``model`` in every worker, and in those to come."""
        body = msgspec.json.encode({"parameters": {"unload_dependents": dependents}})
        async with self._loads.turn(model):
            done, refusals = await self._change_all(model_path(model, "unload"), body)
            if done:
                self._desired.unloaded = sorted({*self._desired.unloaded, model})
                self._keep_override(model, {})
        _raise_first(refusals if done else [*refusals, _no_answer()])

    def _check_room(self, model: str, override: Mapping[str, Parameter]) -> None:
        others = sum(_size(kept) for name, kept in self._desired.overrides.items() if name != model)
        if others + _size(override) > MOST_OVERRIDES:
            raise GatewayError(
                Fault.INVALID,
                f"failed to load '{printable(model)}': with what is kept for other models, its files have "
                f"more than {MOST_OVERRIDES >> 20} MiB; put them into the repository",
            )

    def _keep_override(self, model: str, override: dict[str, Parameter]) -> None:
        self._desired.overrides.pop(model, None)
        if override:
            self._desired.overrides[model] = override

    def read(self) -> dict[str, Setting]:
        """Return the log settings in force."""
        return self._log.read()

    async def change(self, wanted: Mapping[str, object]) -> dict[str, Setting]:
        """Change the log settings here, in every worker, and in those to come."""
        async with self._changing:
            settings = await self._log.change(wanted)
            self._desired.logging = {**self._desired.logging, **wanted}
            _, refusals = await self._change_all("/v2/logging", msgspec.json.encode(wanted))
        _raise_first(refusals)
        return settings

    async def _change_tracing(self, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
        async with self._changing:
            settings = await self._tracing.change(wanted)
            self._desired.tracing = settings
            _, refusals = await self._change_all("/v2/trace/setting", msgspec.json.encode(wanted))
        _raise_first(refusals)
        return settings

    def management_routes(self) -> list[web.RouteDef]:
        """Return the routes on which an operator changes all workers."""
        tracing = SharedTracing(self._tracing, self._change_tracing)
        routes = management_routes(self, self, tracing, index=self.index)
        return [*routes, *endpoint_routes(self.endpoints), *cache_routes(self.cache)]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes on which workers call their parent, those of an operator among them."""

        async def keep_final(request: web.Request) -> bytes:
            self.keep_final(int(request.match_info["serial"]), decode_counts(await request.read()))
            return b""

        async def keep_final_of_tenants(request: web.Request) -> bytes:
            for tenant, counted in decode_tenant_counts(await request.read()).items():
                self.keep_final(int(request.match_info["serial"]), counted, tenant)
            return b""

        async def desired_state(_request: web.Request) -> bytes:
            # A change under way does not reach this worker if it did not listen when the change began.
            async with self._changing:
                await self._loads.idle()
                return msgspec.json.encode(self._desired)

        return [
            *count_routes(self),
            *self.management_routes(),
            web.post(r"/statistics/{serial:\d+}", json_handler(keep_final)),
            web.post(r"/statistics/{serial:\d+}/tenants", json_handler(keep_final_of_tenants)),
            # The path of before: a parent outlives an upgrade of the files that its workers are started from.
            web.get("/standing", json_handler(desired_state)),
        ]

    async def _change_in_turn(self, path: str, body: bytes) -> tuple[int, list[GatewayError]]:
        async with self._changing:
            return await self._change_all(path, body)

    async def _change_all(self, path: str, body: bytes) -> tuple[int, list[GatewayError]]:
        """Change all at once; return how many have made the change, and the errors of the others.

        What at least one has made is part of the desired state; the operator gets the error and tries again.
        """
        workers = self._listening().items()
        outcomes = await asyncio.gather(*(self._change_one(*worker, path, body) for worker in workers))
        refusals = [outcome for outcome in outcomes if isinstance(outcome, GatewayError)]
        return sum(outcome is True for outcome in outcomes), refusals

    async def _change_one(self, serial: int, socket: Path, path: str, body: bytes) -> bool | GatewayError:
        try:
            await call(socket, path, body, limit_s=CHANGE_LIMIT_S)
        except GatewayError as error:
            return error
        except NOT_LISTENING:
            # It gets the desired state before it serves.
            return False
        except NO_ANSWER as error:
            _LOG.error("worker process %d does not make a change: %s", serial, type(error).__name__)
            return GatewayError(Fault.UNAVAILABLE, "a worker did not answer", retryable=True)
        return True


def _size(override: Mapping[str, Parameter]) -> int:
    return sum(len(name) + (len(value) if isinstance(value, str) else 8) for name, value in override.items())


def _no_answer() -> GatewayError:
    return GatewayError(Fault.UNAVAILABLE, "no worker answers", retryable=True)


def _raise_first(refusals: Sequence[GatewayError]) -> None:
    for refusal in refusals:
        raise refusal


_: tuple[type[Statistics], type[Loader], type[Log]] = (Coordinator, Coordinator, Coordinator)
