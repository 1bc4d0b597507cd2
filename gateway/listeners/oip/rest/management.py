"""The REST extensions around models: configuration, statistics, repository, logging, tracing."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.core.catalog import VisibleModels
from gateway.core.service import NumberedService
from gateway.http.exchange import Answer, Head
from gateway.listeners.oip import shared_memory
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.model_control import ModelControl
from gateway.listeners.oip.request_headers import OipHeaderReader
from gateway.listeners.oip.rest.responses import Responses
from gateway.wire.oip.management import (
    decode_index,
    decode_log_settings,
    decode_model_parameters,
    decode_trace_settings,
)
from gateway.wire.oip.paths import ParsedPath

_encode: Final = msgspec.json.Encoder().encode


class Management:
    """Answers what is not an inference and not plain metadata."""

    def __init__(
        self,
        model_control: ModelControl,
        extensions: Extensions,
        reader: OipHeaderReader,
        responses: Responses,
    ) -> None:
        self._model_control, self._extensions = model_control, extensions
        self._reader, self._responses = reader, responses

    def __repr__(self) -> str:
        return f"<Management by {self._model_control!r}>"

    async def models(
        self, head: Head, _path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """List the models, by name."""
        models = self._reader.models(head, generation)
        entries = await self._model_control.index(models, "", ready_only=False)
        names = dict.fromkeys(entry.name for entry in entries)
        return self._json({"models": list(names)}, generation)

    async def config(self, head: Head, path: ParsedPath, _body: bytes, generation: NumberedService) -> Answer:
        """Send a model's configuration."""
        models = self._reader.models(head, generation, path.model, path.version)
        return self._json(await self._model_control.config(models, path.model, path.version), generation)

    async def statistics(
        self, head: Head, path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """Send the statistics of a model, or of all."""
        models = self._reader.models(head, generation, path.model, path.version)
        found = await self._model_control.statistics(models, path.model, path.version)
        return self._json({"model_stats": found}, generation)

    async def index(self, head: Head, _path: ParsedPath, body: bytes, generation: NumberedService) -> Answer:
        """List every version of every model."""
        models = self._models(head, generation)
        entries = await self._model_control.index(models, "", ready_only=decode_index(body))
        return self._json(entries, generation)

    async def load(self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService) -> Answer:
        """Load a model."""
        await self._model_control.load(head, "", path.model, decode_model_parameters(body))
        return self._responses.empty(generation.number)

    async def unload(self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService) -> Answer:
        """Unload a model."""
        await self._model_control.unload(head, "", path.model, decode_model_parameters(body))
        return self._responses.empty(generation.number)

    async def logging(
        self, head: Head, _path: ParsedPath, body: bytes, generation: NumberedService
    ) -> Answer:
        """Send the log settings, after changing those that the body names."""
        return self._json(await self._model_control.logging(head, decode_log_settings(body)), generation)

    async def tracing(self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService) -> Answer:
        """Send the trace settings, after changing those that the body names."""
        models = self._models(head, generation)
        settings = await self._model_control.tracing(head, models, path.model, decode_trace_settings(body))
        # Only the levels are a list in JSON: every other setting has one value.
        sent = {name: values if name == "trace_level" else values[0] for name, values in settings.items()}
        return self._json(sent, generation)

    async def shared_memory(
        self, _head: Head, path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """List the regions of shared memory: none; one that is named is not known."""
        shared_memory.check(path.memory, path.region)
        return self._json([], generation)

    async def share_memory(
        self, _head: Head, _path: ParsedPath, _body: bytes, _generation: NumberedService
    ) -> Answer:
        """Refuse to register shared memory."""
        raise shared_memory.refusal()

    async def unshare_memory(
        self, _head: Head, _path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """Unregister shared memory, one region or all: there are none."""
        return self._responses.empty(generation.number)

    def _models(self, head: Head, generation: NumberedService) -> VisibleModels | None:
        """Return the caller's models; None for the operator, who is no tenant."""
        return None if self._extensions.is_operator(head) else self._reader.models(head, generation)

    def _json(self, value: Any, generation: NumberedService) -> Answer:
        return self._responses.json(_encode(value), generation.number)
