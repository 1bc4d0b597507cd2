"""The model repository as an operator sees it over the wire."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from edge_models.configuration.completed_message import completed_message
from edge_models.errors import ForeignModelError, ModelError
from edge_models.loads import Loads
from edge_models.override import read_override
from edge_models.predictor import Lane, Predictor
from edge_models.registry import Model, Registry
from edge_models.settings import BatchingSettings
from gateway.core.catalog import IndexEntry
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.repository import ModelSettings, Repository
from gateway.core.request import Parameter
from gateway.core.telemetry import ModelsRefused, Silence, Telemetry

_log = logging.getLogger(__name__)

_PREPARE_LIMIT_S: Final = 60.0
"""Seconds to read what belongs to a model, and for the process that tries it out to start."""


class ModelRepository:
    """What this process holds, and could hold: models are loaded from the folder as it is, and unloaded.

    Args:
        registry: the loaded models.
        predictor: answers from them.
        batching: settings by model name.
        is_cached: whether answers of a model may come from a cache.
        telemetry: is told how many folders are not served, when that changes.
        prepare: called in a thread, with the model's name, before another artefact (or none) answers for the
            model: it reads what belongs to the model. What it returns is called on the event loop when the
            other artefact has its place, before any request can reach it; what that raises undoes the change.
    """

    def __init__(
        self,
        registry: Registry,
        predictor: Predictor,
        batching: Mapping[str, BatchingSettings],
        *,
        is_cached: Callable[[str], bool] = lambda _model: False,
        telemetry: Telemetry | None = None,
        prepare: Callable[[str], Callable[[], None]] = lambda _model: lambda: None,
    ) -> None:
        self._registry, self._predictor = registry, predictor
        self._batching = batching
        self._is_cached = is_cached
        self._prepare = prepare
        self._unloaded: dict[str, list[str]] = {}
        self._loads = Loads()
        self._telemetry = telemetry or Silence()
        self._count_refused()

    def __repr__(self) -> str:
        return f"<ModelRepository {self._registry!r}>"

    def index(self) -> Sequence[IndexEntry]:
        """Return every version of every model: ready, with a run that does not end, or unloaded."""
        ready = [
            IndexEntry(model.name, model.version, "UNAVAILABLE", "a run of it does not end")
            if model.stuck.count
            else IndexEntry(model.name, model.version, "READY")
            for model in self._registry
        ]
        gone = [
            IndexEntry(name, version, "UNAVAILABLE", "unloaded")
            for name, versions in self._unloaded.items()
            for version in versions
        ]
        refused = [
            IndexEntry(name, version, "UNAVAILABLE", self._registry.without_folder(each.reason))
            for name, each in self._registry.refused.items()
            for version in each.versions or ("",)
        ]
        return [*ready, *gone, *refused]

    def settings(self, model: str) -> ModelSettings:
        """Return how requests for ``model`` wait for each other here."""
        is_cached = self._is_cached(model)
        try:
            found = self._registry.get(model)
        except GatewayError:
            return ModelSettings(is_cached=is_cached)
        config = None
        if found.config is not None:
            config = completed_message(found.config, model)
            is_cached = is_cached and found.config.response_cache is not False
        scheduling = found.scheduling(self._batching.get(model))
        if scheduling.max_rows is None:
            return ModelSettings(is_cached=is_cached, config=config, batches=False, labels=found.labels)
        settings = scheduling.batching
        return ModelSettings(
            settings.max_batch_size,
            settings.preferred_batch_size,
            settings.max_queue_delay_microseconds,
            settings.max_queue_size,
            is_cached,
            config,
            batches=True,
            labels=found.labels,
        )

    async def load(self, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:
        """Serve ``model`` as it is in the folder now; return when the versions before have ended.

        ``parameters``: ``config`` and ``file:PATH`` hold in place of what is there, until the next order.

        Raises:
            GatewayError: NOT_FOUND; INVALID for what cannot be served. What was served is served on.
        """
        async with self._loads.turn(model):
            models, enforce = await self._read_in_time(model, parameters)
            try:
                before = self._swap(model, models, enforce)
            except ModelError as error:
                raise self._refused(model, error, parameters) from error
            self._unloaded.pop(model, None)
            self._registry.refused.pop(model, None)
            self._count_refused()
            _log.info("model %s is loaded: %s", model, ", ".join(each.session.digest for each in models))
            await self._predictor.retire(before)

    async def unload(self, model: str, *, dependents: bool = False) -> None:  # noqa: ARG002 - none depends
        """Serve no version of ``model`` any more; return when what was accepted has ended.

        As in Triton it is no error that none was served: of a model that is unloaded, refused or unknown.
        """
        async with self._loads.turn(model):
            versions = [each.version for each in self._registry if each.name == model]
            if not versions:
                return
            enforce = await self._loads.run(partial(self._prepare, model), _PREPARE_LIMIT_S)
            before = self._swap(model, [], enforce)
            self._unloaded[model] = versions
            _log.info("model %s is unloaded", model)
            await self._predictor.retire(before)

    async def _read_in_time(
        self, model: str, parameters: Mapping[str, Parameter | bytes]
    ) -> tuple[list[Model], Callable[[], None]]:
        if self._predictor.is_overrun():
            raise GatewayError(
                Fault.UNAVAILABLE,
                f"failed to load '{printable(model)}': too many runs do not end: restart this process",
            )
        limit_s = self._registry.startup_timeout_s(model) + _PREPARE_LIMIT_S
        try:
            return await self._loads.run(partial(self._read, model, parameters), limit_s)
        except ModelError as error:
            raise self._refused(model, error, parameters) from error
        except TimeoutError as error:
            raise GatewayError(
                Fault.DEADLINE, f"failed to load '{printable(model)}': it was not loaded in {limit_s:g} s"
            ) from error

    def _refused(
        self, model: str, error: ModelError, parameters: Mapping[str, Parameter | bytes]
    ) -> GatewayError:
        known = self._registry.refused.get(model)
        if known is not None and not parameters:
            is_foreign = isinstance(error, ForeignModelError)
            self._registry.refused[model] = replace(known, reason=str(error), is_foreign=is_foreign)
            self._count_refused()
        _log.warning("model %s is not loaded: %s", printable(model), error)
        message = self._registry.without_folder(str(error))
        return GatewayError(Fault.INVALID, f"failed to load '{model}': {message}")

    def _count_refused(self) -> None:
        refused = self._registry.refused.values()
        foreign = sum(each.is_foreign for each in refused)
        self._telemetry.emit(ModelsRefused(len(refused) - foreign, foreign))

    def _read(
        self, model: str, parameters: Mapping[str, Parameter | bytes]
    ) -> tuple[list[Model], Callable[[], None]]:
        return self._registry.read(model, read_override(parameters)), self._prepare(model)

    def _swap(self, name: str, models: list[Model], enforce: Callable[[], None]) -> list[Lane]:
        """Answer for ``name`` by ``models``, or as before when anything is wrong with them."""
        lanes = self._predictor.open(models)
        models_before, lanes_before = self._registry.put(name, models), self._predictor.put(name, lanes)
        try:
            enforce()
        except BaseException:
            self._registry.put(name, models_before)
            self._predictor.put(name, lanes_before)
            raise
        return lanes_before


_: type[Repository] = ModelRepository
