"""ModelInfer: bytes to a Request, a Response to bytes, and nothing between."""

from __future__ import annotations

from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Generation
from gateway.core.telemetry import Refused
from gateway.core.tensor import Buffer
from gateway.listeners.arrivals import Arrival, Arrivals
from gateway.listeners.exchange import Answer, Head
from gateway.listeners.front import Front
from gateway.listeners.rpc.statuses import FIELDS, Statuses
from gateway.wire import headers
from gateway.wire.classification import classify
from gateway.wire.grpc_framing import Unpacking, frame, parse_timeout
from gateway.wire.grpc_infer import InferMessages
from gateway.wire.oip_proto import Inference


class Infer:
    """Answers inference requests; ``ratio``: how many times its size a compressed message may become."""

    def __init__(self, front: Front, statuses: Statuses, ratio: int) -> None:
        self._front = front
        self._statuses = statuses
        self._ratio = ratio
        self._arrivals = Arrivals(front.trust)
        self._messages = InferMessages()
        self._now = front.clock.now

    def __repr__(self) -> str:
        return f"<Infer of {self._front.region}>"

    async def __call__(self, head: Head, body: bytes, generation: Generation) -> Answer:
        """Answer one call.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        try:
            arrival = self._arrivals.read(head)
            message = self.unpacking(arrival).only(body)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("grpc", error.fault))
            raise
        request, inference = self.request(message, arrival)
        response = await generation(request)
        parts = self.parts(response, inference)
        return Answer(
            200, FIELDS, frame(parts), (), self._statuses.ok(generation.number, response.provenance)
        )

    def arrival(self, head: Head) -> Arrival:
        """Read a head.

        Raises:
            GatewayError: as Arrivals has it.
        """
        return self._arrivals.read(head)

    def unpacking(self, arrival: Arrival) -> Unpacking:
        """Return how the messages of a call are read."""
        return Unpacking(self._front.max_body_bytes, self._ratio, arrival.grpc_encoding)

    def request(self, message: Buffer, arrival: Arrival) -> tuple[Request, Inference]:
        """Put together what message and headers say.

        Raises:
            GatewayError: of the codec, or INVALID for a time limit that is none.
        """
        now = self._now()
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
        )
        return request, inference

    def parts(self, response: Response, inference: Inference) -> list[Buffer]:
        """Write an answer as the parts of one message.

        Raises:
            GatewayError: INVALID for classes of an output that has none.
        """
        if inference.classes:
            response = classify(response, inference.classes)
        return self._messages.encode(response, inference.id)
