"""ModelStreamInfer: many requests in one call, each answered in the stream, also with an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import replace

from gateway.core.errors import GatewayError
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.service import NumberedService
from gateway.core.tensor import Buffer
from gateway.http.exchange import Head, RequestBody
from gateway.listeners.oip.grpc.infer import INFER_PATH, GrpcInferCodec
from gateway.listeners.oip.inference_endpoint import InferenceEndpoint, learn
from gateway.wire.grpc_framing import Unpacking
from gateway.wire.oip.inference import Inference
from gateway.wire.oip.proto import varint
from gateway.wire.proto import messages

CONCURRENT: Final = 16
"""Requests of one stream that are under way at once; further ones are not read before."""

_FINAL: Final = "triton_final_response"
_RESPONSE: Final = b"\x12"  # the field ``infer_response``


class _Begun(NamedTuple):
    """A request of a stream, what becomes of it, and the bytes that it took on the wire."""

    size: int
    answer: GatewayError | asyncio.Task[Response]
    inference: Inference | None = None


class _Steps:
    """The steps of sequences that are under way in one stream: each waits for the one before it."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str, object], asyncio.Task[Response]] = {}

    def begin(self, generation: NumberedService, request: Request) -> asyncio.Task[Response]:
        """Return the task of a step, which a model with state gets when the step before it has ended."""
        key = (request.model, request.version, request.parameters[SEQUENCE])
        task = asyncio.create_task(_infer(generation, request, self._latest.get(key)))
        self._latest[key] = task
        task.add_done_callback(partial(self._ended, key))
        return task

    def _ended(self, key: tuple[str, str, object], task: asyncio.Task[Response]) -> None:
        if self._latest.get(key) is task:
            del self._latest[key]


class _Call(NamedTuple):
    """The call that a stream is: its head, the end of its time, its id, and the steps under way in it."""

    head: Head
    until: float
    request_id: str
    steps: _Steps


class StreamInfer:
    """Answers the requests of one stream, each with one answer or one error, in their order.

    Up to ``CONCURRENT`` are under way at once, so that they can be batched together; of the steps of one
    sequence one after the other. A stream may outlive a policy: each request is one of the
    ``generation`` in force when it is read, and one that does not know the caller any more ends the stream.
    """

    def __init__(
        self, endpoint: InferenceEndpoint, codec: GrpcInferCodec, generation: Callable[[], NumberedService]
    ) -> None:
        self._endpoint, self._codec, self._generation = endpoint, codec, generation
        self._identify = endpoint.identify

    def __repr__(self) -> str:
        return f"<StreamInfer by {self._endpoint!r}>"

    async def __call__(
        self, head: Head, stream: RequestBody, unpacking: Unpacking, until: float, request_id: str = ""
    ) -> AsyncGenerator[list[Buffer], None]:
        """Answer until the client has no more, or until the first error of a client that wants it so.

        ``request_id``: of the call; all its requests go by it.

        Raises:
            GatewayError: of a request, where the client wants true statuses; else of the framing, or
                UNAUTHENTICATED or FORBIDDEN for a caller who is not known any more.
        """
        wants_status = self._identify(head, self._generation()).triton_grpc_error == "true"
        begun_requests: asyncio.Queue[_Begun | None] = asyncio.Queue()
        room, call = asyncio.Semaphore(CONCURRENT), _Call(head, until, request_id, _Steps())

        async def read() -> None:
            async for message, size in unpacking.each(stream):
                await room.acquire()
                begun_requests.put_nowait(await self._begin(message, size, call))

        reading = asyncio.create_task(read())
        reading.add_done_callback(lambda _: begun_requests.put_nowait(None))
        begun: _Begun | None = None
        try:
            while (begun := await begun_requests.get()) is not None:
                try:
                    yield await self._answer(begun)
                except GatewayError as error:
                    if wants_status:
                        raise
                    refused = messages.ModelStreamInferResponse(error_message=error.message)
                    yield [refused.SerializeToString()]
                stream.consumed(begun.size)
                room.release()
            await reading
        finally:
            await _cancel(
                reading, begun, *(begun_requests.get_nowait() for _ in range(begun_requests.qsize()))
            )

    async def _begin(self, message: Buffer, size: int, call: _Call) -> _Begun:
        generation = self._generation()
        headers = self._identify(call.head, generation)
        try:
            decoding = self._codec.decode_message(message, headers.partition)
            inference, request = await self._endpoint.prepare(
                decoding, INFER_PATH, headers, request_id=call.request_id
            )
            if call.until < request.deadline:
                request = replace(request, deadline=call.until)
        except GatewayError as error:
            return _Begun(size, error)
        if request.parameters and SEQUENCE in request.parameters:
            return _Begun(size, call.steps.begin(generation, request), inference)
        return _Begun(size, asyncio.create_task(_infer(generation, request)), inference)

    async def _answer(self, begun: _Begun) -> list[Buffer]:
        answer, inference = begun.answer, begun.inference
        if isinstance(answer, GatewayError):
            raise answer
        response = await answer
        assert inference is not None, "only an error comes without"
        learn(inference, is_here=False)
        if inference.marks_final:
            response = replace(response, parameters={**response.parameters, _FINAL: True})
        parts = await self._codec.encode_message(response, inference.output_format, inference.id)
        size = sum(map(len, parts))
        return [_RESPONSE + varint(size) + bytes(parts[0]), *parts[1:]]


async def _infer(
    generation: NumberedService, request: Request, after: asyncio.Task[Response] | None = None
) -> Response:
    if after is not None:
        await asyncio.wait([after])
    # Called within the task: one that is cancelled before it begins leaves no coroutine that nobody awaits.
    return await generation(request)


async def _cancel(reading: asyncio.Task[None], *begun: _Begun | None) -> None:
    """End what is under way for a stream that is over."""
    answers = [each.answer for each in begun if each is not None]
    tasks = [reading, *(answer for answer in answers if isinstance(answer, asyncio.Task))]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
