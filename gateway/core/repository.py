"""The models of a server as its operator sees them: what there is, how it is configured, load and unload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.core.catalog import IndexEntry, unknown_model
from gateway.core.request import Parameter


class ModelSettings(msgspec.Struct, frozen=True):
    """How requests for a model are served.

    ``max_batch_size``: rows; 0 where the gateway does not see a batch dimension. ``delay_us``: the longest
    wait for company. ``max_queue``: requests that may wait. ``is_cached``: answers may come from a cache.
    ``config``: its own configuration, an ``inference.ModelConfig``; None: it has none.
    ``batches``: whether the first dimension of its outputs is the batch; None where that is not known.
    ``labels``: output → the names of its classes, in their order.
    """

    max_batch_size: int = 0
    preferred_batch_sizes: tuple[int, ...] = ()
    delay_us: int = 0
    max_queue: int = 0
    is_cached: bool = False
    config: Any = None
    batches: bool | None = None
    labels: Mapping[str, Sequence[str]] = {}


class Loader(Protocol):
    """Loads and unloads models, in one process or in several as one."""

    async def load(self, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:
        """Load ``model``, or load it anew; ``parameters`` may have a configuration and files for it.

        Raises:
            GatewayError: NOT_FOUND, INVALID for what cannot be loaded.
        """
        ...

    async def unload(self, model: str, *, dependents: bool = False) -> None:
        """Unload every version of ``model``.

        Raises:
            GatewayError: NOT_FOUND, UNSUPPORTED.
        """
        ...


class Repository(Loader, Protocol):
    """The models of this process, and how they are served."""

    def index(self) -> Sequence[IndexEntry]:
        """Return every version of every model that this process holds."""
        ...

    def settings(self, model: str) -> ModelSettings:
        """Return how requests for ``model`` are served; the plain settings for a model held elsewhere."""
        ...


class NoRepository:
    """The repository of a process without models."""

    def __repr__(self) -> str:
        return "<NoRepository>"

    def index(self) -> Sequence[IndexEntry]:
        """Return no entry."""
        return ()

    def settings(self, model: str) -> ModelSettings:  # noqa: ARG002 - the Protocol's signature
        """Return the default settings."""
        return ModelSettings()

    async def load(self, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:  # noqa: ARG002
        """Refuse: there is no repository to load from."""
        raise unknown_model(model)

    async def unload(self, model: str, *, dependents: bool = False) -> None:  # noqa: ARG002
        """Refuse: there is nothing to unload."""
        raise unknown_model(model)


_: type[Repository] = NoRepository
