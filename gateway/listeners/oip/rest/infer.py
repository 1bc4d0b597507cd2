"""POST …/infer over HTTP: bodies of JSON, of JSON and binary data, or of raw data ⇄ an inference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.catalog import Catalogs
from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import HERE_BYTES, Offload
from gateway.core.request import Response
from gateway.core.tensor import Buffer, Tensor
from gateway.http.exchange import Answer, PendingAnswer
from gateway.listeners.inflater import Inflater
from gateway.listeners.oip.extensions import ProtocolSettings
from gateway.listeners.oip.inference_endpoint import InferenceCodec
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.listeners.oip.rest.responses import Refusal, Responses, with_cache_status
from gateway.wire.compression import CODINGS
from gateway.wire.oip.classification import NO_RULES, ClassRules, classify
from gateway.wire.oip.inference import BINARY_OUTPUTS, Inference, OutputFormat
from gateway.wire.oip.json import Body, decode_request, encode_apart, parse_header_length
from gateway.wire.oip.json_bounds import check_length
from gateway.wire.oip.paths import ParsedPath
from gateway.wire.oip.raw import raw_inference
from gateway.wire.oip.reuse import Layout, RequestJsonCache, ResponseJsonCache
from gateway.wire.oip.values import is_long

_ACCEPTED: Final = ((b"accept-encoding", ", ".join(CODINGS).encode()),)


class RestInferCodec:
    """Reads bodies of infer requests and writes their answers.

    ``catalogs`` describe the models whose input comes without JSON; ``offload`` reads and writes much JSON.
    ``class_rules``: of a model, how its outputs are classified.
    """

    def __init__(
        self,
        catalogs: Catalogs,
        responses: Responses,
        inflater: Inflater,
        offload: Offload,
        *,
        settings: ProtocolSettings,
        class_rules: Callable[[str], ClassRules],
    ) -> None:
        self._offload, self._max_json_bytes = offload, settings.max_json_mib << 20
        self._nan, self._class_rules = settings.json_nan, class_rules
        self._catalogs = catalogs
        self._responses = responses
        self._inflater = inflater
        self._requests = cache = RequestJsonCache()
        self._decode = cache.decode
        self._encode = ResponseJsonCache(settings.json_nan).encode

    def __repr__(self) -> str:
        return f"<RestInferCodec {self._requests!r}>"

    def decode(
        self, path: ParsedPath, headers: OipRequestHeaders, body: Buffer
    ) -> Inference | Awaitable[Inference]:
        """Read a body; what is compressed or has no JSON has to be waited for.

        Raises:
            GatewayError: INVALID or TOO_LARGE.
            Refusal: 501 for a content coding that is not supported.
        """
        if headers.content_encoding is not None:
            return self._decode_compressed(path, headers, body)
        if headers.header_length is None:
            if len(body) > HERE_BYTES:
                return self._decode_elsewhere(body, None, path.model)
            return self._decode(body, None, headers.partition, path.model)
        length = parse_header_length(headers.header_length)
        if not length:
            return self._decode_raw(path, headers, body)
        if length > HERE_BYTES:
            return self._decode_elsewhere(body, length, path.model)
        return self._decode(body, length, headers.partition, path.model)

    def layout(self, headers: OipRequestHeaders, body: Buffer) -> Layout | None:
        """Return how bodies look that differ from this one in nothing but their data, if it is known."""
        partition = headers.partition
        if partition is None:
            return None
        return self._requests.layout(body, parse_header_length(headers.header_length), partition)

    def coding(self, headers: OipRequestHeaders) -> str | None:
        """Return the content codings that the client accepts."""
        return headers.accept_encoding

    def encode(
        self,
        output_format: OutputFormat,
        request_id: str,
        coding: str | None,
        generation: int,
        response: Response,
    ) -> Answer | PendingAnswer:
        """Write an answer, compressed if the client accepts it and the body is worth it.

        Raises:
            GatewayError: INVALID for an output wanted as JSON that JSON cannot carry.
        """
        if output_format is not BINARY_OUTPUTS and is_long(_written(response, output_format)):
            return self._encode_elsewhere(output_format, request_id, coding, generation, response)
        if output_format.classes:
            response = classify(response, output_format.classes, self._class_rules(response.model))
        body = self._encode(response, output_format, request_id)
        answer = self._responses.inference(body, response.provenance, generation, coding)
        return answer if response.cache_status is None else with_cache_status(answer, response.cache_status)

    async def _encode_elsewhere(
        self,
        output_format: OutputFormat,
        request_id: str,
        coding: str | None,
        generation: int,
        response: Response,
    ) -> Answer:
        rules = self._class_rules(response.model) if output_format.classes else NO_RULES
        parts, length = await self._offload(
            encode_apart, response, output_format, request_id, self._nan, rules
        )
        answer = self._responses.inference(Body([*parts], length), response.provenance, generation, coding)
        return answer if response.cache_status is None else with_cache_status(answer, response.cache_status)

    async def inflate(self, headers: OipRequestHeaders, body: Buffer) -> Buffer:
        """Return the body without its Content-Encoding, if it has one.

        Raises:
            GatewayError: TOO_LARGE or INVALID.
            Refusal: 501 for a content coding that is not supported.
        """
        coding = headers.content_encoding
        if coding is None or coding.strip().lower() in {"identity", ""}:
            return body
        try:
            return await self._inflater.inflate(body, coding)
        except GatewayError as error:
            if error.fault is Fault.UNSUPPORTED:
                raise Refusal(501, error.message, *_ACCEPTED) from None
            raise

    async def _decode_compressed(
        self, path: ParsedPath, headers: OipRequestHeaders, body: Buffer
    ) -> Inference:
        body = await self.inflate(headers, body)
        length = parse_header_length(headers.header_length)
        if length == 0:
            return await self._decode_raw(path, headers, body)
        if (len(body) if length is None else length) > HERE_BYTES:
            return await self._decode_elsewhere(body, length, path.model)
        return self._decode(body, length, headers.partition, path.model)

    async def _decode_elsewhere(self, body: Buffer, length: int | None, model: str) -> Inference:
        check_length(len(body) if length is None else length, self._max_json_bytes)
        return await self._offload(decode_request, memoryview(body), length, self._max_json_bytes, model)

    async def _decode_raw(self, path: ParsedPath, headers: OipRequestHeaders, body: Buffer) -> Inference:
        """Read a body that is the data of the model's one input and nothing else."""
        await in_task()
        models = self._catalogs.of(headers.caller, to_infer=True)
        return raw_inference(await models.describe(path.model, path.version), body)


def _written(response: Response, output_format: OutputFormat) -> list[Tensor]:
    """Return the outputs of which each element is looked at."""
    return [
        output
        for output in response.outputs
        if output.name in output_format.classes or not output_format.writes_binary(output.name)
    ]


_: type[InferenceCodec] = RestInferCodec
