"""POST …/infer: bytes to a Request, a Response to bytes, and nothing between."""

from __future__ import annotations

from functools import partial
from typing import Final

from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Generation, Pending
from gateway.core.telemetry import Refused
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, Head, PendingAnswer
from gateway.listeners.oip.data_plane import DataPlane
from gateway.listeners.oip.extensions import ProtocolSettings
from gateway.listeners.oip.fast_paths import FastPaths
from gateway.listeners.oip.inflater import Inflater
from gateway.listeners.oip.request_headers import RequestHeaderReader, RequestHeaders
from gateway.listeners.oip.rest.responses import Refusal, Responses
from gateway.wire import headers
from gateway.wire.compression import CODINGS
from gateway.wire.oip.json import Inference, Wishes, parse_header_length
from gateway.wire.oip.paths import Target
from gateway.wire.oip.raw import raw_inference
from gateway.wire.oip.reuse import RequestHeads, ResponseHeads

_OURS: Final = ((b"accept-encoding", ", ".join(CODINGS).encode()),)


class Infer:
    """Answers inference requests."""

    def __init__(self, front: DataPlane, answers: Responses, settings: ProtocolSettings) -> None:
        self._front = front
        self._answers = answers
        self._aside = Inflater(front.max_body_bytes, settings.inflate_ratio)
        self._arrivals = RequestHeaderReader(front.trust)
        self._heads = heads = RequestHeads()
        self._decode = heads.decode
        self._fast = FastPaths()
        self._encode = ResponseHeads().encode
        self._now = front.clock.now

    def __repr__(self) -> str:
        return f"<Infer of {self._front.region}>"

    def __call__(
        self, head: Head, target: Target, body: Buffer, generation: Generation
    ) -> Answer | PendingAnswer:
        """Answer one request, at once if the stack does.

        Raises:
            GatewayError: of the codec or of the stack.
            Refusal: 501 for a coding that nobody here reads.
        """
        if (fast := self._fast.answer(head, body, generation)) is not None:
            return fast
        now = self._now()
        try:
            arrival = self._arrivals.read(head)
            if arrival.content_encoding is not None:
                return self._packed(arrival, target, body, generation, now)
            said = arrival.header_length
            if said == "0":
                return self._raw(arrival, target, body, generation, now)
            inference, request = self._read(target, arrival, body, now)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("http", error.fault))
            raise
        answered = generation(request)
        if isinstance(answered, Response):
            if not inference.id:
                self._fast.learn(
                    head,
                    partial(self._heads.layout, body, None if said is None else int(said)),
                    request,
                    arrival=arrival,
                    generation=generation,
                    write=partial(
                        self._written, inference.wishes, "", arrival.accept_encoding, generation.number
                    ),
                )
            return self._written(
                inference.wishes, inference.id, arrival.accept_encoding, generation.number, answered
            )
        return self._wait(answered, inference, arrival, generation.number)

    async def _packed(
        self, arrival: RequestHeaders, target: Target, body: Buffer, generation: Generation, now: float
    ) -> Answer:
        """Answer a request whose body is compressed, or says so."""
        body = await self.inflated(body, arrival)
        if arrival.header_length == "0":
            return await self._raw(arrival, target, body, generation, now)
        try:
            inference, request = self._read(target, arrival, body, now)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("http", error.fault))
            raise
        return await self._wait(generation(request), inference, arrival, generation.number)

    async def _raw(
        self, arrival: RequestHeaders, target: Target, body: Buffer, generation: Generation, now: float
    ) -> Answer:
        """Answer a request whose body is the data of the model's one input and nothing else."""
        await in_task()
        try:
            spec = await self._front.catalog.describe(target.model, target.version)
            inference = raw_inference(spec, body)
            request = request_of(target, inference, arrival, now)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("http", error.fault))
            raise
        return await self._wait(generation(request), inference, arrival, generation.number)

    def _read(
        self, target: Target, arrival: RequestHeaders, body: Buffer, now: float
    ) -> tuple[Inference, Request]:
        said = arrival.header_length
        inference = self._decode(body, None if said is None else parse_header_length(said))
        return inference, request_of(target, inference, arrival, now)

    async def _wait(
        self, answered: Response | Pending, inference: Inference, arrival: RequestHeaders, number: int
    ) -> Answer:
        response = await answered
        return self._written(inference.wishes, inference.id, arrival.accept_encoding, number, response)

    def _written(
        self, wishes: Wishes, request_id: str, accepted: str | None, number: int, response: Response
    ) -> Answer:
        written = self._encode(response, wishes, request_id)
        return self._answers.inference(written, response.provenance, number, accepted)

    def arrival(self, head: Head) -> RequestHeaders:
        """Read a head.

        Raises:
            GatewayError: as Arrivals has it.
        """
        return self._arrivals.read(head)

    async def inflated(self, body: Buffer, arrival: RequestHeaders) -> Buffer:
        """Return the body behind its Content-Encoding, if it has one.

        Raises:
            GatewayError: TOO_LARGE or INVALID.
            Refusal: 501 for a coding that nobody here reads.
        """
        coding = arrival.content_encoding
        if coding is None or coding.strip().lower() in {"identity", ""}:
            return body
        try:
            return await self._aside.inflate(body, coding)
        except GatewayError as error:
            if error.fault is Fault.UNSUPPORTED:
                raise Refusal(501, error.message, *_OURS) from None
            self._front.telemetry.emit(Refused("http", error.fault))
            raise


def request_of(target: Target, inference: Inference, arrival: RequestHeaders, now: float) -> Request:
    """Put together what path, body and headers say.

    Raises:
        GatewayError: INVALID for a time limit that is none.
    """
    timeout_s = inference.timeout_s
    if arrival.timeout_ms is not None:
        timeout_s = min(timeout_s, headers.parse_timeout_ms(arrival.timeout_ms))
    return Request(
        model=target.model,
        inputs=inference.inputs,
        id=inference.id,
        version=target.version,
        outputs=inference.outputs,
        parameters=inference.parameters,
        caller=arrival.caller,
        deadline=now + timeout_s,
        regions=arrival.regions,
        hops=arrival.hops,
        trace=arrival.trace,
        classes=inference.wishes.classes,
    )
