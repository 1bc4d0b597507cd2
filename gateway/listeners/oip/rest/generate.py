"""The generate extension: plain JSON fields in and out, answered at once or as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec

from gateway.core.errors import GatewayError
from gateway.core.request import Response
from gateway.core.service import Generation
from gateway.core.telemetry import Refused
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, GeneratedBody, Head, StreamedAnswer
from gateway.listeners.oip.data_plane import DataPlane
from gateway.listeners.oip.rest.infer import Infer, request_of
from gateway.listeners.oip.rest.responses import Responses
from gateway.wire.oip.generate import decode_generate, encode_generate
from gateway.wire.oip.json import Body
from gateway.wire.oip.paths import Target

_encode: Final = msgspec.json.Encoder().encode


class Generate:
    """Answers generate requests; each gets one answer, so a stream has one event."""

    def __init__(self, front: DataPlane, answers: Responses, infer: Infer) -> None:
        self._front = front
        self._answers = answers
        self._infer = infer

    def __repr__(self) -> str:
        return f"<Generate by {self._infer!r}>"

    async def once(self, head: Head, target: Target, body: bytes, generation: Generation) -> Answer:
        """Answer with one JSON object.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        response, told = await self._ask(head, target, body, generation)
        return self._answers.inference(Body([_encode(told)], None), response.provenance, generation.number)

    async def stream(self, head: Head, target: Target, body: bytes, generation: Generation) -> StreamedAnswer:
        """Answer with events; what goes wrong before the first of them is an error like any other.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        response, told = await self._ask(head, target, body, generation)
        fields = self._answers.events(generation.number, response.provenance)
        return StreamedAnswer(200, fields, GeneratedBody(_events(told)))

    async def _ask(
        self, head: Head, target: Target, body: bytes, generation: Generation
    ) -> tuple[Response, dict[str, Any]]:
        now = self._front.clock.now()
        try:
            arrival = self._infer.arrival(head)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("http", error.fault))
            raise
        body = bytes(await self._infer.inflated(body, arrival))
        try:
            spec = await self._front.catalog.describe(target.model, target.version)
            inference = decode_generate(spec, body)
            request = request_of(target, inference, arrival, now)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("http", error.fault))
            raise
        response = await generation(request)
        return response, encode_generate(response, inference.id)


async def _events(told: dict[str, Any]) -> AsyncGenerator[Buffer, None]:
    yield b"data: %b\n\n" % _encode(told)
