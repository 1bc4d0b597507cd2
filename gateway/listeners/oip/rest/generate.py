"""The generate extension: plain JSON fields in and out, answered at once or as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec

from gateway.core.request import Response
from gateway.core.service import NumberedService
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, GeneratedBody, Head, StreamedAnswer
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.oip.inference_endpoint import InferenceEndpoint
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.listeners.oip.rest.infer import RestInferCodec
from gateway.listeners.oip.rest.responses import Responses
from gateway.wire.oip.generate import decode_generate, encode_generate
from gateway.wire.oip.inference import Inference
from gateway.wire.oip.json import Body
from gateway.wire.oip.paths import ParsedPath

_encode: Final = msgspec.json.Encoder().encode


class Generate:
    """Answers generate requests; each gets one answer, so a stream has one event."""

    def __init__(
        self,
        data_plane: DataPlane,
        responses: Responses,
        codec: RestInferCodec,
        endpoint: InferenceEndpoint,
    ) -> None:
        self._data_plane = data_plane
        self._responses = responses
        self._codec = codec
        self._endpoint = endpoint

    def __repr__(self) -> str:
        return f"<Generate by {self._endpoint!r}>"

    async def once(self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService) -> Answer:
        """Answer with one JSON object.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        response, fields = await self._infer(head, path, body, generation)
        return self._responses.inference(
            Body([_encode(fields)], None), response.provenance, generation.number
        )

    async def stream(
        self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService
    ) -> StreamedAnswer:
        """Answer with events; what goes wrong before the first of them is an error like any other.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        response, fields = await self._infer(head, path, body, generation)
        header_fields = self._responses.events(generation.number, response.provenance)
        return StreamedAnswer(200, header_fields, GeneratedBody(_events(fields)))

    async def _infer(
        self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService
    ) -> tuple[Response, dict[str, Any]]:
        now = self._data_plane.clock.now()
        headers = self._endpoint.identify(head, generation, path.model, path.version)
        decoding = self._decode(path, headers, body)
        inference, request = await self._endpoint.prepare_later(decoding, path, headers, now)
        response = await generation(request)
        return response, encode_generate(response, inference.id)

    async def _decode(self, path: ParsedPath, headers: OipRequestHeaders, body: bytes) -> Inference:
        plain = bytes(await self._codec.inflate(headers, body))
        models = self._data_plane.catalogs.of(headers.caller, to_infer=True)
        return decode_generate(await models.describe(path.model, path.version), plain)


async def _events(fields: dict[str, Any]) -> AsyncGenerator[Buffer, None]:
    yield b"data: %b\n\n" % _encode(fields)
