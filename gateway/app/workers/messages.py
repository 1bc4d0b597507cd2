"""The messages between the processes of one gateway, and how long each is waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from gateway.admin.management_routes import json_handler
from gateway.core.control import Tracing
from gateway.core.request import Parameter
from gateway.core.statistics import Counted, ModelStatistics, Statistics

COUNT_LIMIT_S: Final = 0.5
"""The parent waits this long for the statistics of each worker."""

CHANGE_LIMIT_S: Final = 60.0
"""The parent waits this long for each worker to make a change: loading a model may take a while."""

_PARTS: Final = msgspec.json.Decoder(list[ModelStatistics])
_TENANTS: Final = msgspec.json.Decoder(dict[str, list[ModelStatistics]])


MOST_OVERRIDES: Final = 256 << 20
"""Bytes of what orders to load brought that are kept for workers to come, over all models."""


class DesiredState(msgspec.Struct):
    """What workers to come must be like: log and trace settings, unloaded models, drained endpoints.

    ``overrides``: of models that were loaded with another configuration or other files than the repository's,
    the parameters of the order; bytes are in base64. ``invalidated``: what was, and no log has it.
    """

    logging: dict[str, object] = {}
    tracing: dict[str, list[str]] = {}
    unloaded: list[str] = []
    overrides: dict[str, dict[str, Parameter]] = {}
    drained: list[str] = []
    invalidated: list[dict[str, object]] = []


class SharedTracing:
    """The trace settings of all workers: ``own`` are read, ``change`` changes those of every worker."""

    def __init__(
        self,
        own: Tracing,
        change: Callable[[Mapping[str, Sequence[str] | None]], Awaitable[dict[str, list[str]]]],
    ) -> None:
        self._own, self._change = own, change

    def __repr__(self) -> str:
        return f"<SharedTracing like {self._own!r}>"

    def read(self) -> dict[str, list[str]]:
        """Return the settings in force."""
        return self._own.read()

    async def change(self, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
        """Change the settings of every worker."""
        return await self._change(wanted)


def model_path(model: str, action: str) -> str:
    """Return the path on which ``model`` is loaded or unloaded."""
    return f"/v2/repository/models/{quote(model, safe='')}/{action}"


def count_routes(statistics: Statistics) -> list[web.RouteDef]:
    """Return the route on which another process of this gateway reads ``statistics``."""

    async def count(request: web.Request) -> bytes:
        return encode_counts(await statistics.counted(request.match_info.get("tenant", "")))

    return [
        web.get("/statistics", json_handler(count)),
        web.get("/statistics/tenants/{tenant}", json_handler(count)),
    ]


def statistics_path(tenant: str) -> str:
    """Return the path on which what was counted of ``tenant`` is read; empty: of everybody."""
    return f"/statistics/tenants/{quote(tenant, safe='')}" if tenant else "/statistics"


def encode_tenant_counts(counts: Mapping[str, Counted]) -> bytes:
    """Write what was counted of each tenant, for another process."""
    return msgspec.json.encode({tenant: counted.parts() for tenant, counted in counts.items()})


def decode_tenant_counts(body: bytes) -> dict[str, Counted]:
    """Read what another process has counted of each tenant."""
    return {tenant: Counted(parts) for tenant, parts in _TENANTS.decode(body).items()}


def encode_counts(counted: Counted) -> bytes:
    """Write what was counted, for another process."""
    return msgspec.json.encode(counted.parts())


def decode_counts(body: bytes) -> Counted:
    """Read what another process has counted."""
    return Counted(_PARTS.decode(body))
