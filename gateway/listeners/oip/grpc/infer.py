"""ModelInfer: bytes to a Request, a Response to bytes, and nothing between."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from gateway.core.errors import GatewayError
from gateway.core.request import NO_CLASSES, Request, Response
from gateway.core.service import Generation, Pending
from gateway.core.telemetry import Refused
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, Head, PendingAnswer
from gateway.listeners.oip.data_plane import DataPlane
from gateway.listeners.oip.extensions import ProtocolSettings
from gateway.listeners.oip.fast_paths import FastPaths
from gateway.listeners.oip.grpc.packing import Packing
from gateway.listeners.oip.grpc.statuses import Statuses
from gateway.listeners.oip.inflater import Inflater
from gateway.listeners.oip.request_headers import RequestHeaderReader, RequestHeaders
from gateway.wire import headers
from gateway.wire.grpc_framing import PREFIX, Unpacking, parse_timeout
from gateway.wire.oip.classification import classify
from gateway.wire.oip.proto import Inference
from gateway.wire.oip.proto_reuse import InferMessages
from gateway.wire.oip.reuse import Layout


class Infer:
    """Answers inference requests."""

    def __init__(self, front: DataPlane, statuses: Statuses, settings: ProtocolSettings) -> None:
        self._front = front
        self._statuses = statuses
        self._aside = Inflater(front.max_body_bytes, settings.inflate_ratio)
        self.packing = Packing(settings.compress_from_bytes)
        self._arrivals = RequestHeaderReader(front.trust)
        self._messages = InferMessages()
        self._fast = FastPaths()
        self._now = front.clock.now

    def __repr__(self) -> str:
        return f"<Infer of {self._front.region}>"

    def __call__(self, head: Head, body: Buffer, generation: Generation) -> Answer | PendingAnswer:
        """Answer one call, at once if the stack does.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        if (fast := self._fast.answer(head, body, generation)) is not None:
            return fast
        try:
            arrival = self._arrivals.read(head)
            unpacking = self.unpacking(arrival)
            message = unpacking.plain(body)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("grpc", error.fault))
            raise
        if message is None:
            return self._packed(unpacking, body, arrival, generation, self._now())
        request, inference = self.request(message, arrival, self._now())
        coding = self.packing.coding(arrival)
        answered = generation(request)
        if isinstance(answered, Response):
            if not (inference.id or inference.classes):
                self._fast.learn(
                    head,
                    partial(self._layout, body),
                    request,
                    arrival=arrival,
                    generation=generation,
                    write=partial(self._written, NO_CLASSES, "", generation.number, coding),
                )
            return self._written(inference.classes, inference.id, generation.number, coding, answered)
        return self._wait(answered, inference, generation.number, coding)

    async def _packed(
        self, unpacking: Unpacking, body: Buffer, arrival: RequestHeaders, generation: Generation, now: float
    ) -> Answer:
        """Answer a call whose message is compressed, or says so."""
        try:
            message = await unpacking.only(body)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("grpc", error.fault))
            raise
        request, inference = self.request(message, arrival, now)
        return await self._wait(
            generation(request), inference, generation.number, self.packing.coding(arrival)
        )

    async def _wait(
        self, answered: Response | Pending, inference: Inference, number: int, coding: str
    ) -> Answer:
        return self._written(inference.classes, inference.id, number, coding, await answered)

    def _written(
        self, classes: Mapping[str, int], request_id: str, number: int, coding: str, response: Response
    ) -> Answer:
        parts = self.packing.framed(self.parts(response, classes, request_id), coding)
        fields = self.packing.fields(coding)
        return Answer(200, fields, parts, (), self._statuses.ok(number, response.provenance))

    def _layout(self, body: Buffer) -> Layout | None:
        """Return how bodies like this one look: one message that is not compressed, with its prefix."""
        layout = self._messages.layout(memoryview(body)[PREFIX:]) if body[0] == 0 else None
        if layout is None:
            return None
        spans = tuple([(start + PREFIX, stop + PREFIX) for start, stop in layout.spans])
        return Layout(bytes(body[:PREFIX]) + layout.prefix, layout.size + PREFIX, spans)

    def arrival(self, head: Head) -> RequestHeaders:
        """Read a head.

        Raises:
            GatewayError: as Arrivals has it.
        """
        return self._arrivals.read(head)

    def unpacking(self, arrival: RequestHeaders) -> Unpacking:
        """Return how the messages of a call are read."""
        return Unpacking(self._front.max_body_bytes, arrival.grpc_encoding, self._aside.inflate)

    def request(
        self, message: Buffer, arrival: RequestHeaders, now: float | None = None
    ) -> tuple[Request, Inference]:
        """Put together what message and headers say; ``now``: when it came, in loop time.

        Raises:
            GatewayError: of the codec, or INVALID for a time limit that is none.
        """
        now = self._now() if now is None else now
        try:
            inference = self._messages.decode(message)
            timeout_s = inference.timeout_s
            if arrival.grpc_timeout is not None:
                timeout_s = min(timeout_s, parse_timeout(arrival.grpc_timeout))
            if arrival.timeout_ms is not None:
                timeout_s = min(timeout_s, headers.parse_timeout_ms(arrival.timeout_ms))
        except GatewayError as error:
            self._front.telemetry.emit(Refused("grpc", error.fault))
            raise
        request = Request(
            model=inference.model,
            inputs=inference.inputs,
            id=inference.id,
            version=inference.version,
            outputs=inference.outputs,
            parameters=inference.parameters,
            caller=arrival.caller,
            deadline=now + timeout_s,
            regions=arrival.regions,
            hops=arrival.hops,
            trace=arrival.trace,
            classes=inference.classes,
        )
        return request, inference

    def parts(self, response: Response, classes: Mapping[str, int], request_id: str) -> list[Buffer]:
        """Write an answer as the parts of one message.

        Raises:
            GatewayError: INVALID for classes of an output that has none.
        """
        if classes:
            response = classify(response, classes)
        return self._messages.encode(response, request_id)
