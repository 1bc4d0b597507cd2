"""What GET tells: of the server, and of its models."""

from __future__ import annotations

from typing import Final

from gateway.core.service import Generation
from gateway.http.exchange import Answer, Head
from gateway.listeners.oip.data_plane import NAME, VERSION, DataPlane
from gateway.listeners.oip.rest.responses import Responses
from gateway.wire.oip.metadata import (
    EXTENSIONS,
    LIVE,
    READY,
    encode_model,
    encode_model_ready,
    encode_not_ready,
    encode_server,
)
from gateway.wire.oip.paths import Target

_SERVER: Final = encode_server(NAME, VERSION, EXTENSIONS)
_NOT_READY: Final = encode_not_ready()


class Metadata:
    """Answers questions about the server and its models."""

    def __init__(self, front: DataPlane, answers: Responses) -> None:
        self._front = front
        self._answers = answers

    def __repr__(self) -> str:
        return f"<Metadata of {self._front.region}>"

    async def server(self, _head: Head, _target: Target, _body: bytes, generation: Generation) -> Answer:
        """Name the server and its extensions."""
        return self._answers.json(_SERVER, generation.number)

    async def live(self, _head: Head, _target: Target, _body: bytes, generation: Generation) -> Answer:
        """Live."""
        return self._answers.json(LIVE, generation.number)

    async def ready(self, _head: Head, _target: Target, _body: bytes, generation: Generation) -> Answer:
        """Say whether requests are welcome."""
        if self._front.is_ready():
            return self._answers.json(READY, generation.number)
        return self._answers.json(_NOT_READY, generation.number, 503)

    async def model(self, _head: Head, target: Target, _body: bytes, generation: Generation) -> Answer:
        """Describe a model."""
        spec = await self._front.catalog.describe(target.model, target.version)
        return self._answers.json(encode_model(spec), generation.number)

    async def model_ready(self, _head: Head, target: Target, _body: bytes, generation: Generation) -> Answer:
        """Say whether a model would answer."""
        ready = await self._front.catalog.is_ready(target.model, target.version)
        body = encode_model_ready(target.model, ready=ready)
        return self._answers.json(body, generation.number, 200 if ready else 503)
