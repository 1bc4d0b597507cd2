"""The REST extensions around models: configuration, statistics, repository, logging, tracing."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.core.errors import Fault, GatewayError
from gateway.core.service import NumberedService
from gateway.http.exchange import Answer, Head
from gateway.listeners.oip.model_control import NO_SHARED_MEMORY, ModelControl
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

    def __init__(self, model_control: ModelControl, responses: Responses) -> None:
        self._model_control = model_control
        self._responses = responses

    def __repr__(self) -> str:
        return f"<Management by {self._model_control!r}>"

    async def models(
        self, _head: Head, _path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """List the models of this process."""
        names = dict.fromkeys(entry.name for entry in self._model_control.index("", ready_only=False))
        return self._json({"models": list(names)}, generation)

    async def config(
        self, _head: Head, path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """Send a model's configuration."""
        return self._json(await self._model_control.config(path.model, path.version), generation)

    async def statistics(
        self, _head: Head, path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """Send the statistics of a model, or of all."""
        found = await self._model_control.statistics(path.model, path.version)
        return self._json({"model_stats": found}, generation)

    async def index(self, _head: Head, _path: ParsedPath, body: bytes, generation: NumberedService) -> Answer:
        """List every version of every model."""
        entries = self._model_control.index("", ready_only=decode_index(body))
        return self._json(entries, generation)

    async def load(self, _head: Head, path: ParsedPath, body: bytes, generation: NumberedService) -> Answer:
        """Load a model."""
        await self._model_control.load("", path.model, decode_model_parameters(body))
        return self._responses.empty(generation.number)

    async def unload(self, _head: Head, path: ParsedPath, body: bytes, generation: NumberedService) -> Answer:
        """Unload a model."""
        await self._model_control.unload("", path.model, decode_model_parameters(body))
        return self._responses.empty(generation.number)

    async def logging(
        self, _head: Head, _path: ParsedPath, body: bytes, generation: NumberedService
    ) -> Answer:
        """Send the log settings, after changing those that the body names."""
        return self._json(await self._model_control.logging(decode_log_settings(body)), generation)

    async def tracing(
        self, _head: Head, path: ParsedPath, body: bytes, generation: NumberedService
    ) -> Answer:
        """Send the trace settings, after changing those that the body names."""
        settings = await self._model_control.tracing(path.model, decode_trace_settings(body))
        # Only the levels are a list in JSON: every other setting has one value.
        sent = {name: values if name == "trace_level" else values[0] for name, values in settings.items()}
        return self._json(sent, generation)

    async def shared_memory(
        self, _head: Head, _path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """List the regions of shared memory: none."""
        return self._json([], generation)

    async def share_memory(
        self, _head: Head, _path: ParsedPath, _body: bytes, _generation: NumberedService
    ) -> Answer:
        """Refuse to register shared memory, or to unregister it."""
        raise GatewayError(Fault.UNSUPPORTED, NO_SHARED_MEMORY)

    def _json(self, value: Any, generation: NumberedService) -> Answer:
        return self._responses.json(_encode(value), generation.number)
