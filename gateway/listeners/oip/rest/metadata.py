"""The metadata of the server and of its models over HTTP."""

from __future__ import annotations

from typing import Final

from gateway.core.service import NumberedService
from gateway.http.exchange import Answer, Head
from gateway.listeners.data_plane import VERSION, DataPlane
from gateway.listeners.oip.request_headers import OipHeaderReader
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
from gateway.wire.oip.paths import ParsedPath

_NOT_READY: Final = encode_not_ready()


class Metadata:
    """Answers questions about the server and its models."""

    def __init__(
        self, data_plane: DataPlane, server_name: str, reader: OipHeaderReader, responses: Responses
    ) -> None:
        self._server = encode_server(server_name, VERSION, EXTENSIONS)
        self._data_plane, self._reader = data_plane, reader
        self._responses = responses

    def __repr__(self) -> str:
        return f"<Metadata of {self._data_plane.region}>"

    async def server(
        self, _head: Head, _path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """Name the server and its extensions."""
        return self._responses.json(self._server, generation.number)

    async def live(self, _head: Head, _path: ParsedPath, _body: bytes, generation: NumberedService) -> Answer:
        """Answer that the process lives."""
        return self._responses.json(LIVE, generation.number)

    async def ready(
        self, _head: Head, _path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """Answer whether requests are served now."""
        if self._data_plane.is_ready():
            return self._responses.json(READY, generation.number)
        return self._responses.json(_NOT_READY, generation.number, 503)

    async def model(self, head: Head, path: ParsedPath, _body: bytes, generation: NumberedService) -> Answer:
        """Describe a model."""
        models = self._reader.models(head, generation, path.model, path.version)
        spec = await models.describe(path.model, path.version)
        return self._responses.json(encode_model(spec), generation.number)

    async def model_ready(
        self, head: Head, path: ParsedPath, _body: bytes, generation: NumberedService
    ) -> Answer:
        """Answer whether a model would be served now."""
        models = self._reader.models(head, generation, path.model, path.version)
        ready = await models.is_ready(path.model, path.version)
        body = encode_model_ready(path.model, ready=ready)
        return self._responses.json(body, generation.number, 200 if ready else 503)
