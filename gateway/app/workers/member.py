"""A worker's view of all of them: it calls its parent, so that every worker gives the same answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from gateway.app.workers.ipc import NO_ANSWER, call
from gateway.app.workers.messages import (
    CHANGE_LIMIT_S,
    COUNT_LIMIT_S,
    DesiredState,
    SharedTracing,
    decode_counts,
    encode_counts,
    encode_tenant_counts,
    model_path,
    statistics_path,
)
from gateway.core.catalog import IndexEntry
from gateway.core.control import Log, Setting, Tracing
from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import ModelSettings, Repository
from gateway.core.request import Parameter
from gateway.core.statistics import Counted, Statistics, TenantStatistics

_LOG: Final = logging.getLogger("edgeway.workers")

_EXTRA_S: Final = 0.5


class Member:
    """This worker as one of several: statistics, repository and log of all of them.

    Args:
        parent: the socket on which the parent is called.
        serial: of this worker.
        statistics, repository, log, tracing: of this process alone.
        keep_drained: drains here what the other workers have drained.
        take_purged: invalidates here what the others have invalidated.
    """

    def __init__(
        self,
        parent: Path,
        serial: int,
        *,
        statistics: TenantStatistics,
        repository: Repository,
        log: Log,
        tracing: Tracing,
        keep_drained: Callable[[str], None] = lambda _label: None,
        take_purged: Callable[[tuple[msgspec.Raw, ...]], Awaitable[None]] | None = None,
    ) -> None:
        self._parent, self._serial = parent, serial
        self._statistics, self._repository = statistics, repository
        self._log, self._tracing, self._keep_drained = log, tracing, keep_drained
        self._take_purged = take_purged
        self.tracing: Tracing = SharedTracing(tracing, self._change_tracing)

    def __repr__(self) -> str:
        return f"<Member of worker {self._serial}>"

    async def counted(self, tenant: str = "") -> Counted:
        """Return what all workers have counted, those that are gone as well.

        It is this worker's alone while the parent does not answer; the log says so.
        """
        try:
            # The parent may first have to end the round of calls before this one.
            return decode_counts(
                await call(self._parent, statistics_path(tenant), limit_s=2 * COUNT_LIMIT_S + _EXTRA_S)
            )
        except (*NO_ANSWER, GatewayError) as error:
            _LOG.warning(
                "statistics are this worker's alone, the parent does not answer: %s", type(error).__name__
            )
            return await self._statistics.counted(tenant)

    def index(self) -> Sequence[IndexEntry]:
        """Return what this process holds, which is what all of them do."""
        return self._repository.index()

    def settings(self, model: str) -> ModelSettings:
        """Return how requests for ``model`` are served."""
        return self._repository.settings(model)

    async def load(self, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:
        """Load ``model`` in every worker."""
        body = msgspec.json.encode({"parameters": parameters})
        await self._call(model_path(model, "load"), body)

    async def unload(self, model: str, *, dependents: bool = False) -> None:
        """Unload ``model`` in every worker."""
        body = msgspec.json.encode({"parameters": {"unload_dependents": dependents}})
        await self._call(model_path(model, "unload"), body)

    def read(self) -> dict[str, Setting]:
        """Return the log settings in force."""
        return self._log.read()

    async def change(self, wanted: Mapping[str, object]) -> dict[str, Setting]:
        """Change the log settings of every worker and of the parent."""
        answer = await self._call("/v2/logging", msgspec.json.encode(wanted))
        return msgspec.json.decode(answer, type=dict[str, bool | int | str])

    async def catch_up(self) -> None:
        """Make the changes that were made in the workers before this one; call it before this one serves.

        Raises:
            GatewayError: UNAVAILABLE when the parent does not answer.
        """
        desired = msgspec.json.decode(await self._call("/standing"), type=DesiredState)
        if desired.logging:
            await self._log.change(desired.logging)
        if desired.tracing:
            await self._tracing.change(desired.tracing)
        for label in desired.drained:
            self._keep_drained(label)
        if desired.invalidated and self._take_purged is not None:
            await self._take_purged(tuple(msgspec.Raw(msgspec.json.encode(e)) for e in desired.invalidated))
        for model, parameters in desired.overrides.items():
            try:
                await self._repository.load(model, parameters)
            except GatewayError as error:
                _LOG.error("this worker serves another model than the others: %s", error.message)
        for model in desired.unloaded:
            # It may have been taken out of the folder since.
            with suppress(GatewayError):
                await self._repository.unload(model)

    async def leave_counts(self) -> None:
        """Send the final counts of this worker to the parent; call it when nothing more will be counted."""
        counted, path = await self._statistics.counted(), f"/statistics/{self._serial}"
        tenants = {
            tenant: await self._statistics.counted(tenant) for tenant in sorted(self._statistics.tenants())
        }
        with suppress(*NO_ANSWER, GatewayError):
            await call(self._parent, path, encode_counts(counted), limit_s=COUNT_LIMIT_S)
            if tenants:
                body = encode_tenant_counts(tenants)
                await call(self._parent, f"{path}/tenants", body, limit_s=COUNT_LIMIT_S)

    async def _change_tracing(self, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
        answer = await self._call("/v2/trace/setting", msgspec.json.encode(wanted))
        return msgspec.json.decode(answer, type=dict[str, list[str]])

    async def _call(self, path: str, body: bytes | None = None) -> bytes:
        try:
            # The parent may still be busy with the change before this one.
            return await call(self._parent, path, body, limit_s=2 * CHANGE_LIMIT_S + _EXTRA_S)
        except NO_ANSWER as error:
            raise GatewayError(
                Fault.UNAVAILABLE, "the parent of the workers does not answer", retryable=True
            ) from error


_: tuple[type[Statistics], type[Repository], type[Log], type[Tracing]] = (
    Member,
    Member,
    Member,
    SharedTracing,
)
