"""The REST extensions around models: configuration, statistics, repository, logging, tracing."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Parameter
from gateway.core.service import Generation
from gateway.http.exchange import Answer, Head
from gateway.listeners.oip.model_control import NO_SHARED_MEMORY, ModelControl
from gateway.listeners.oip.rest.responses import Responses
from gateway.wire.oip.messages import parse
from gateway.wire.oip.paths import Target

Message = TypeVar("Message")


class _IndexMessage(msgspec.Struct):
    ready: bool = False


class _ModelMessage(msgspec.Struct):
    parameters: dict[str, Parameter] = {}


_INDEX: Final = msgspec.json.Decoder(_IndexMessage)
_MODEL: Final = msgspec.json.Decoder(_ModelMessage)
_LOGGING: Final = msgspec.json.Decoder(dict[str, object])
_TRACING: Final = msgspec.json.Decoder(dict[str, list[str] | str | int | None])
_encode: Final = msgspec.json.Encoder().encode


class Management:
    """Answers an operator's questions."""

    def __init__(self, desk: ModelControl, answers: Responses) -> None:
        self._desk = desk
        self._answers = answers

    def __repr__(self) -> str:
        return f"<Management by {self._desk!r}>"

    async def models(self, _head: Head, _target: Target, _body: bytes, generation: Generation) -> Answer:
        """List the models of this process."""
        names = dict.fromkeys(entry.name for entry in self._desk.index("", ready_only=False))
        return self._told({"models": list(names)}, generation)

    async def config(self, _head: Head, target: Target, _body: bytes, generation: Generation) -> Answer:
        """Tell how a model is served."""
        return self._told(await self._desk.config(target.model, target.version), generation)

    async def statistics(self, _head: Head, target: Target, _body: bytes, generation: Generation) -> Answer:
        """Tell what was done."""
        found = await self._desk.statistics(target.model, target.version)
        return self._told({"model_stats": found}, generation)

    async def index(self, _head: Head, _target: Target, body: bytes, generation: Generation) -> Answer:
        """List every version of every model."""
        asked = _read(_INDEX, body, _IndexMessage())
        return self._told(self._desk.index("", ready_only=asked.ready), generation)

    async def load(self, _head: Head, target: Target, body: bytes, generation: Generation) -> Answer:
        """Load a model."""
        asked = _read(_MODEL, body, _ModelMessage())
        await self._desk.load("", target.model, asked.parameters)
        return self._answers.empty(generation.number)

    async def unload(self, _head: Head, target: Target, body: bytes, generation: Generation) -> Answer:
        """Unload a model."""
        asked = _read(_MODEL, body, _ModelMessage())
        await self._desk.unload("", target.model, asked.parameters)
        return self._answers.empty(generation.number)

    async def logging(self, _head: Head, _target: Target, body: bytes, generation: Generation) -> Answer:
        """Tell what is logged, after changing it when the body says so."""
        nothing: dict[str, object] = {}
        wanted = _read(_LOGGING, body, nothing)
        return self._told(await self._desk.logging(wanted), generation)

    async def tracing(self, _head: Head, target: Target, body: bytes, generation: Generation) -> Answer:
        """Tell what is traced, after changing it when the body says so."""
        wanted = {name: _words(value) for name, value in _read(_TRACING, body, {}).items()}
        settings = await self._desk.tracing(target.model, wanted)
        # One word stands alone in JSON, but for the levels, of which there may be several.
        told = {name: words if name == "trace_level" else words[0] for name, words in settings.items()}
        return self._told(told, generation)

    async def shared_memory(
        self, _head: Head, _target: Target, _body: bytes, generation: Generation
    ) -> Answer:
        """List the regions of shared memory: none."""
        return self._told([], generation)

    async def share_memory(
        self, _head: Head, _target: Target, _body: bytes, _generation: Generation
    ) -> Answer:
        """Refuse."""
        raise GatewayError(Fault.UNSUPPORTED, NO_SHARED_MEMORY)

    def _told(self, what: Any, generation: Generation) -> Answer:
        return self._answers.json(_encode(what), generation.number)


def _read(decoder: msgspec.json.Decoder[Message], body: bytes, nothing: Message) -> Message:
    return parse(decoder, body) if body.strip() else nothing


def _words(value: list[str] | str | int | None) -> list[str] | None:
    if value is None or isinstance(value, list):
        return value
    return [str(value)]
