"""ModelInfer over gRPC: the message of a call, compressed or not ⇄ an inference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.offload import Offload
from gateway.core.partitions import Partition
from gateway.core.request import Response
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, PendingAnswer
from gateway.listeners.inflater import Inflater
from gateway.listeners.oip.grpc.packing import Packing
from gateway.listeners.oip.grpc.statuses import Statuses
from gateway.listeners.oip.inference_endpoint import InferenceCodec
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.listeners.response_headers import cache_headers
from gateway.wire.grpc_framing import PREFIX, Unpacking
from gateway.wire.oip.classification import ClassRules, classify
from gateway.wire.oip.inference import Inference, OutputFormat
from gateway.wire.oip.paths import Operation, ParsedPath
from gateway.wire.oip.proto_reuse import InferMessages, reference
from gateway.wire.oip.reuse import Layout
from gateway.wire.oip.values import is_long

INFER_PATH: Final = ParsedPath(Operation.INFER)
"""Of every gRPC inference: the message names the model."""


class GrpcInferCodec:
    """Reads ModelInferRequests of at most ``max_bytes``, and writes ModelInferResponses.

    ``class_rules``: of a model, how its outputs are classified.
    """

    def __init__(
        self,
        max_bytes: int,
        statuses: Statuses,
        packing: Packing,
        inflater: Inflater,
        offload: Offload,
        *,
        class_rules: Callable[[str], ClassRules],
    ) -> None:
        self._offload, self._class_rules = offload, class_rules
        self._max_bytes = max_bytes
        self._statuses = statuses
        self._packing = packing
        self.coding = packing.coding
        """Returns how the answers of a call may be compressed."""
        self._inflater = inflater
        self._messages = messages = InferMessages()
        self._decode_message = messages.decode

    def __repr__(self) -> str:
        return f"<GrpcInferCodec {self._messages!r}>"

    def decode(
        self, _path: ParsedPath, headers: OipRequestHeaders, body: Buffer
    ) -> Inference | Awaitable[Inference]:
        """Read a call's one message; one that is compressed has to be waited for.

        Raises:
            GatewayError: INVALID, TOO_LARGE or UNSUPPORTED.
        """
        unpacking = self.unpacking(headers)
        message = unpacking.plain(body)
        if message is None:
            return self._decode_compressed(unpacking, headers, body)
        inference = self._decode_message(message, headers.partition)
        return self._decode_elsewhere(message) if inference is None else inference

    async def decode_message(self, message: Buffer, partition: Partition | None) -> Inference:
        """Read the bytes of a ModelInferRequest, for a partition.

        Raises:
            GatewayError: INVALID, TOO_LARGE or UNSUPPORTED.
        """
        inference = self._decode_message(message, partition)
        return await self._decode_elsewhere(message) if inference is None else inference

    def layout(self, headers: OipRequestHeaders, body: Buffer) -> Layout | None:
        """Return the layout of bodies like this one, whose message is not compressed."""
        partition = headers.partition
        layout = None if partition is None else self._messages.layout(memoryview(body)[PREFIX:], partition)
        if layout is None:
            return None
        spans = tuple([(start + PREFIX, stop + PREFIX) for start, stop in layout.spans])
        return Layout(bytes(body[:PREFIX]) + layout.prefix, layout.size + PREFIX, spans)

    def encode(
        self,
        output_format: OutputFormat,
        request_id: str,
        coding: str | None,
        generation: int,
        response: Response,
    ) -> Answer | PendingAnswer:
        """Write an answer, compressed if the client's messages are and the answer is worth it.

        Raises:
            GatewayError: INVALID for classes of an output that has none.
        """
        if output_format.classes:
            return self._encode_classes(output_format, request_id, coding, generation, response)
        return self._encode(self._messages.encode(response, request_id), coding, generation, response)

    def _encode(
        self, message: list[Buffer], coding: str | None, generation: int, response: Response
    ) -> Answer:
        parts = self._packing.framed(message, coding)
        fields = self._packing.fields(coding)
        trailers = self._statuses.ok(generation, response.provenance)
        if response.cache_status is not None:
            trailers = (*trailers, *cache_headers(response.cache_status))
        return Answer(200, fields, parts, (), trailers)

    def unpacking(self, headers: OipRequestHeaders) -> Unpacking:
        """Return how the messages of a call are read."""
        return Unpacking(self._max_bytes, headers.grpc_encoding, self._inflater.inflate)

    async def _encode_classes(
        self,
        output_format: OutputFormat,
        request_id: str,
        coding: str | None,
        generation: int,
        response: Response,
    ) -> Answer:
        message = await self.encode_message(response, output_format, request_id)
        return self._encode(message, coding, generation, response)

    async def encode_message(
        self, response: Response, output_format: OutputFormat, request_id: str
    ) -> list[Buffer]:
        """Write a ModelInferResponse, in parts.

        Raises:
            GatewayError: INVALID for classes of an output that has none.
        """
        classes = output_format.classes
        if classes:
            rules = self._class_rules(response.model)
            if is_long(response.outputs):
                response = await self._offload(classify, response, classes, rules)
            else:
                response = classify(response, classes, rules)
        return self._messages.encode(response, request_id)

    async def _decode_compressed(
        self, unpacking: Unpacking, headers: OipRequestHeaders, body: Buffer
    ) -> Inference:
        return await self.decode_message(await unpacking.only(body), headers.partition)

    async def _decode_elsewhere(self, message: Buffer) -> Inference:
        return await self._offload(reference, memoryview(message))


_: type[InferenceCodec] = GrpcInferCodec
