"""The model repository as an operator sees it over the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from edge_models.registry import Registry
from edge_models.settings import BatchingSettings
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.repository import IndexEntry, ModelSettings, Repository
from gateway.core.request import Parameter

_DEFAULTS: Final = BatchingSettings()
_FIXED: Final = (
    "models are loaded when the process starts: put the model into the repository and replace the process"
)


class ModelRepository:
    """What this process holds. Nothing is loaded or dropped after the start.

    Args:
        registry: the loaded models.
        batching: settings by model name.
        is_cached: whether answers of a model may come from a cache.
    """

    def __init__(
        self,
        registry: Registry,
        batching: Mapping[str, BatchingSettings],
        is_cached: Callable[[str], bool] = lambda _model: False,
    ) -> None:
        self._registry = registry
        self._batching = batching
        self._is_cached = is_cached

    def __repr__(self) -> str:
        return f"<ModelRepository {self._registry!r}>"

    def index(self) -> Sequence[IndexEntry]:
        """Return every version of every model: all are ready."""
        return [IndexEntry(model.name, model.version, "READY") for model in self._registry]

    def settings(self, model: str) -> ModelSettings:
        """Return how requests for ``model`` wait for each other here."""
        is_cached = self._is_cached(model)
        try:
            found = self._registry.get(model)
        except GatewayError:
            return ModelSettings(is_cached=is_cached)
        if not found.session.batchable:
            return ModelSettings(is_cached=is_cached)
        settings = self._batching.get(model, _DEFAULTS)
        return ModelSettings(
            settings.max_batch_size,
            settings.preferred_batch_size,
            settings.max_queue_delay_microseconds,
            settings.max_queue_size,
            is_cached,
        )

    async def load(self, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:  # noqa: ARG002
        """Refuse.

        Raises:
            GatewayError: UNSUPPORTED, also for a model that is not there yet.
        """
        raise GatewayError(Fault.UNSUPPORTED, f"failed to load '{printable(model)}': {_FIXED}")

    async def unload(self, model: str, *, dependents: bool = False) -> None:  # noqa: ARG002
        """Refuse.

        Raises:
            GatewayError: NOT_FOUND; UNSUPPORTED.
        """
        self._registry.get(model)
        raise GatewayError(Fault.UNSUPPORTED, f"failed to unload '{model}': {_FIXED}")


_: type[Repository] = ModelRepository
