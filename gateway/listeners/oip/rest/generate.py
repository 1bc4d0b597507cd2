"""The generate extension: plain JSON fields in and out, answered at once or as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from gateway.core.offload import HERE_BYTES
from gateway.core.request import Response
from gateway.core.service import NumberedService
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, GeneratedBody, Head, StreamedAnswer
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.oip.extensions import ProtocolSettings
from gateway.listeners.oip.inference_endpoint import InferenceEndpoint
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.listeners.oip.rest.infer import RestInferCodec
from gateway.listeners.oip.rest.responses import Responses, with_cache_status
from gateway.wire.oip.generate import decode_generate, encode_generate
from gateway.wire.oip.inference import Inference
from gateway.wire.oip.json import Body
from gateway.wire.oip.json_bounds import check_length
from gateway.wire.oip.json_nan import JsonNan
from gateway.wire.oip.paths import ParsedPath
from gateway.wire.oip.values import is_long


class Generate:
    """Answers generate requests; each gets one answer, so a stream has one event."""

    def __init__(
        self,
        data_plane: DataPlane,
        responses: Responses,
        codec: RestInferCodec,
        endpoint: InferenceEndpoint,
        settings: ProtocolSettings,
    ) -> None:
        self._data_plane = data_plane
        self._offload, self._max_json_bytes = data_plane.offload, settings.max_json_mib << 20
        self._nan: JsonNan = settings.json_nan
        self._responses = responses
        self._codec = codec
        self._endpoint = endpoint

    def __repr__(self) -> str:
        return f"<Generate by {self._endpoint!r}>"

    async def once(
        self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService, request_id: str = ""
    ) -> Answer:
        """Answer with one JSON object.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        response, written = await self._infer(head, path, body, generation, request_id)
        answer = self._responses.inference(Body([written], None), response.provenance, generation.number)
        return answer if response.cache_status is None else with_cache_status(answer, response.cache_status)

    async def stream(
        self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService, request_id: str = ""
    ) -> StreamedAnswer:
        """Answer with events; what goes wrong before the first of them is an error like any other.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        response, written = await self._infer(head, path, body, generation, request_id)
        header_fields = self._responses.events(generation.number, response.provenance)
        return StreamedAnswer(200, header_fields, GeneratedBody(_events(written)))

    async def _infer(
        self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService, request_id: str
    ) -> tuple[Response, bytes]:
        now = self._data_plane.clock.now()
        headers = self._endpoint.identify(head, generation, path.model, path.version)
        decoding = self._decode(path, headers, body)
        inference, request = await self._endpoint.prepare(decoding, path, headers, now, request_id=request_id)
        response = await generation(request)
        if is_long(response.outputs):
            return response, await self._offload(encode_generate, response, inference.id, self._nan)
        return response, encode_generate(response, inference.id, self._nan)

    async def _decode(self, path: ParsedPath, headers: OipRequestHeaders, body: bytes) -> Inference:
        plain = await self._codec.inflate(headers, body)
        check_length(len(plain), self._max_json_bytes)
        models = self._data_plane.catalogs.of(headers.caller, to_infer=True)
        spec = await models.describe(path.model, path.version)
        if len(plain) > HERE_BYTES:
            return await self._offload(decode_generate, spec, memoryview(plain), self._max_json_bytes)
        return decode_generate(spec, plain)


async def _events(written: bytes) -> AsyncGenerator[Buffer, None]:
    yield b"data: %b\n\n" % written
