"""What the members of one endpoint tell of its models: each of them can be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from gateway.app.pools.member import PoolMember
from gateway.core.catalog import IndexEntry, ModelSpec, RemoteCatalog
from gateway.core.errors import Fault, GatewayError
from gateway.upstreams.upstream import Upstream

_MOST: Final = 3
"""Members that are asked one question at most."""

T = TypeVar("T")


class PoolCatalog:
    """Asks one member, and another where that cannot be reached; those that are out come last."""

    def __init__(self, endpoint: str, members: Callable[[], Awaitable[Sequence[PoolMember]]]) -> None:
        self._endpoint, self._members = endpoint, members

    def __repr__(self) -> str:
        return f"<PoolCatalog of {self._endpoint}>"

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return a model's metadata."""
        return await self._ask(lambda upstream: upstream.describe(model, version))

    async def is_ready(self, model: str, version: str) -> bool:
        """Whether a request for the model would be served now."""
        return await self._ask(lambda upstream: upstream.is_ready(model, version))

    async def config(self, model: str, version: str) -> bytes:
        """Return a model's configuration."""
        return await self._ask(lambda upstream: upstream.config(model, version))

    async def index(self) -> Sequence[IndexEntry]:
        """Return the versions of all models."""
        return await self._ask(lambda upstream: upstream.index())

    async def _ask(self, question: Callable[[Upstream], Awaitable[T]]) -> T:
        members = sorted(await self._members(), key=lambda each: not each.is_up)
        failure = GatewayError(
            Fault.UNAVAILABLE, f"endpoint '{self._endpoint}' has no members", retryable=True, unsent=True
        )
        for each in members[:_MOST]:
            try:
                return await question(each.parts.upstream)
            except GatewayError as error:
                if error.fault not in {Fault.UNAVAILABLE, Fault.DEADLINE}:
                    raise
                failure = error
        raise failure


_: type[RemoteCatalog] = PoolCatalog
