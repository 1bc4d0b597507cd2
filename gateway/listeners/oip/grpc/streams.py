"""The streaming calls: ModelStreamInfer, the health service's Watch, and server reflection.

What goes wrong with one request of a stream is told within it. What ends a stream early is its status,
which a connection reads from the answer's source after the last message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.service import Generation
from gateway.core.tensor import Buffer
from gateway.http.exchange import BodySource, ConnectionClosing, Pair, RequestBody, StreamedAnswer
from gateway.listeners.oip.grpc.infer import INFER_PATH, GrpcInferCodec
from gateway.listeners.oip.grpc.packing import Packing
from gateway.listeners.oip.grpc.statuses import Statuses
from gateway.listeners.oip.grpc.unary import NOT_SERVING, SERVICE_UNKNOWN, UnaryCalls
from gateway.listeners.oip.inference_endpoint import InferenceEndpoint
from gateway.listeners.oip.request_headers import RequestHeaders
from gateway.wire.grpc_framing import Unpacking
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.inference import Inference
from gateway.wire.oip.proto_reuse import varint
from gateway.wire.proto import messages

_log = logging.getLogger(__name__)

WATCH_S: Final = 1.0
"""Seconds between two looks at what a client of Watch wants to be told of."""

CONCURRENT: Final = 16
"""Requests of one stream that are under way at once; the next waits where it came from."""

_FINAL: Final = "triton_final_response"
_RESPONSE: Final = b"\x12"  # the field ``infer_response``


def streaming(
    messages_out: AsyncGenerator[list[Buffer], None],
    statuses: Statuses,
    generation: Callable[[], Generation],
    *,
    packing: Packing,
    coding: str | None,
) -> StreamedAnswer:
    """Return the answer of a streaming call, with ``coding`` for its messages."""
    source = MessageStream(messages_out, statuses, generation, packing=packing, coding=coding)
    return StreamedAnswer(200, packing.fields(coding), source)


class MessageStream:
    """The messages of a streaming call; its trailers are the status of what has become of them.

    That is OK, or what ``messages_out`` raised. They name the policy generation that is in force at the end.
    """

    __slots__ = ("_generation", "_parts", "_refusal", "_statuses")

    def __init__(
        self,
        messages_out: AsyncGenerator[list[Buffer], None],
        statuses: Statuses,
        generation: Callable[[], Generation],
        *,
        packing: Packing,
        coding: str | None,
    ) -> None:
        self._statuses, self._generation = statuses, generation
        self._parts = self._framed(messages_out, packing, coding)
        self._refusal: GatewayError | None = None

    def __repr__(self) -> str:
        return f"<MessageStream {self._refusal or 'without an error'}>"

    def __aiter__(self) -> AsyncIterator[Buffer]:
        """Return the messages, framed; what goes wrong ends them, and is in the trailers."""
        return self._parts

    def trailers(self) -> tuple[Pair, ...]:
        """Return the status of the call."""
        number, refusal = self._generation().number, self._refusal
        return self._statuses.ok(number) if refusal is None else self._statuses.trailers(refusal, number)

    async def aclose(self) -> None:
        """End the call."""
        await self._parts.aclose()

    async def _framed(
        self, messages_out: AsyncGenerator[list[Buffer], None], packing: Packing, coding: str | None
    ) -> AsyncGenerator[Buffer, None]:
        try:
            async with aclosing(messages_out):
                async for parts in messages_out:
                    for part in packing.framed(parts, coding):
                        yield part
        except GatewayError as error:
            self._refusal = error
        except ConnectionClosing:
            self._refusal = GatewayError(Fault.UNAVAILABLE, "the server is shutting down")
        except Exception:  # noqa: BLE001 - a bug behind the wire becomes a status, never a traceback
            _log.exception("a gRPC stream failed unexpectedly")
            self._refusal = GatewayError(Fault.INTERNAL, "internal error")


_: type[BodySource] = MessageStream


async def timely(
    messages_out: AsyncGenerator[list[Buffer], None], until: float
) -> AsyncGenerator[list[Buffer], None]:
    """Return ``messages_out`` up to loop time ``until``.

    Raises:
        GatewayError: DEADLINE when it comes first; what is under way then is cancelled.
    """
    now = asyncio.get_running_loop().time
    async with aclosing(messages_out):
        while now() < until:
            try:
                async with asyncio.timeout_at(until):
                    parts = await anext(messages_out)
            except StopAsyncIteration:
                return
            except TimeoutError:
                break
            yield parts
    raise GatewayError(Fault.DEADLINE, "the stream's grpc-timeout has passed")


class _Begun(NamedTuple):
    """A request of a stream, what becomes of it, and the bytes that it took on the wire."""

    size: int
    answer: GatewayError | asyncio.Task[Response]
    inference: Inference | None = None

    @property
    def is_step(self) -> bool:
        """Whether it is a step of a sequence."""
        return self.inference is not None and bool(self.inference.parameters.get(SEQUENCE))


class StreamInfer:
    """Answers the requests of one stream, each with one answer or one error, in their order.

    Up to ``CONCURRENT`` are under way at once, so that they can be batched together; none begins while a step
    of a sequence before it is under way. A stream may outlive a policy: each request is one of the
    ``generation`` in force when it is read.
    """

    def __init__(
        self, endpoint: InferenceEndpoint, codec: GrpcInferCodec, generation: Callable[[], Generation]
    ) -> None:
        self._endpoint, self._codec, self._generation = endpoint, codec, generation

    def __repr__(self) -> str:
        return f"<StreamInfer by {self._endpoint!r}>"

    async def __call__(
        self, stream: RequestBody, unpacking: Unpacking, headers: RequestHeaders, until: float
    ) -> AsyncGenerator[list[Buffer], None]:
        """Answer until the client has no more, or until the first error of a client that wants it so.

        Raises:
            GatewayError: of a request, where the client asked for true statuses; else of the framing.
        """
        asked: asyncio.Queue[_Begun | None] = asyncio.Queue()
        room = asyncio.Semaphore(CONCURRENT)

        async def read() -> None:
            async for message, size in unpacking.each(stream):
                await room.acquire()
                begun = self._begin(message, size, headers, until)
                asked.put_nowait(begun)
                if begun.is_step and isinstance(begun.answer, asyncio.Task):
                    # A model with state must not be asked for the next step before.
                    await asyncio.wait([begun.answer])

        reading = asyncio.create_task(read())
        reading.add_done_callback(lambda _: asked.put_nowait(None))
        begun: _Begun | None = None
        try:
            while (begun := await asked.get()) is not None:
                try:
                    yield await self._answer(begun)
                except GatewayError as error:
                    if headers.triton_grpc_error == "true":
                        raise
                    refused = messages.ModelStreamInferResponse(error_message=error.message)
                    yield [refused.SerializeToString()]
                stream.consumed(begun.size)
                room.release()
            await reading
        finally:
            await _cancel(reading, begun, *(asked.get_nowait() for _ in range(asked.qsize())))

    def _begin(self, message: Buffer, size: int, headers: RequestHeaders, until: float) -> _Begun:
        generation = self._generation()
        try:
            decode = partial(self._codec.decode_message, message)
            inference, request = self._endpoint.prepare(decode, INFER_PATH, headers)
            if until < request.deadline:
                request = replace(request, deadline=until)
        except GatewayError as error:
            return _Begun(size, error)
        return _Begun(size, asyncio.create_task(_ask(generation, request)), inference)

    async def _answer(self, begun: _Begun) -> list[Buffer]:
        answer, inference = begun.answer, begun.inference
        if isinstance(answer, GatewayError):
            raise answer
        response = await answer
        assert inference is not None, "only an error comes without"
        if inference.marks_final:
            response = replace(response, parameters={**response.parameters, _FINAL: True})
        parts = self._codec.encode_message(response, inference.output_format, inference.id)
        size = sum(map(len, parts))
        return [_RESPONSE + varint(size) + bytes(parts[0]), *parts[1:]]


async def _ask(generation: Generation, request: Request) -> Response:
    # Asked within the task: of one that is cancelled before it begins nothing is left that nobody awaits.
    return await generation(request)


async def _cancel(reading: asyncio.Task[None], *begun: _Begun | None) -> None:
    """End what is under way for a stream that is over."""
    answers = [each.answer for each in begun if each is not None]
    tasks = [reading, *(answer for answer in answers if isinstance(answer, asyncio.Task))]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Watch:
    """Tells a service's health now and whenever it changes, until the client leaves."""

    def __init__(self, calls: UnaryCalls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock

    def __repr__(self) -> str:
        return "<Watch>"

    async def __call__(
        self, stream: RequestBody, unpacking: Unpacking, _headers: RequestHeaders, _until: float
    ) -> AsyncGenerator[list[Buffer], None]:
        """Tell, until cancelled or the connection ends.

        Raises:
            Leaving: then.
        """
        last = 0
        async for message, size in unpacking.each(stream):
            asked = oip_proto.parse(messages.HealthCheckRequest, bytes(message))
            stream.consumed(size)
            while not stream.is_leaving:
                status = self._calls.health(asked.service)
                if status != last:
                    last = status
                    yield [messages.HealthCheckResponse(status=status).SerializeToString()]
                await self._clock.sleep(WATCH_S)
            if last != SERVICE_UNKNOWN:
                yield [messages.HealthCheckResponse(status=NOT_SERVING).SerializeToString()]
            raise ConnectionClosing


class Reflection:
    """Tells what this server speaks, in one version of the reflection service."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._request = messages.message(f"{package}.ServerReflectionRequest")
        self._response = messages.message(f"{package}.ServerReflectionResponse")
        self._files = {file.name: file for file in messages.files()}
        self._symbols = {symbol: file for file in messages.files() for symbol in _symbols(file)}
        self._services = sorted(
            f"{file.package}.{service.name}" for file in messages.files() for service in file.service
        )

    def __repr__(self) -> str:
        return f"<Reflection {self._package}>"

    async def __call__(
        self, stream: RequestBody, unpacking: Unpacking, _headers: RequestHeaders, _until: float
    ) -> AsyncGenerator[list[Buffer], None]:
        """Answer questions until there are no more."""
        async for message, size in unpacking.each(stream):
            asked = oip_proto.parse(self._request, bytes(message))
            stream.consumed(size)
            yield [self._tell(asked).SerializeToString()]

    def _tell(self, asked: Any) -> Any:
        told = self._response(valid_host=asked.host, original_request=asked)
        kind = asked.WhichOneof("message_request")
        if kind == "list_services":
            for name in self._services:
                told.list_services_response.service.add(name=name)
            return told
        file = None
        if kind == "file_by_filename":
            file = self._files.get(asked.file_by_filename)
        elif kind == "file_containing_symbol":
            file = self._symbols.get(asked.file_containing_symbol)
        if file is None:
            told.error_response.error_code = 5
            told.error_response.error_message = "not found"
        else:
            told.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())
        return told


def _symbols(file: Any) -> list[str]:
    found = []

    def walk(scope: str, kinds: Any) -> None:
        for kind in kinds:
            name = f"{scope}.{kind.name}"
            found.append(name)
            walk(name, kind.nested_type)
            found.extend(f"{name}.{enum.name}" for enum in kind.enum_type)

    walk(file.package, file.message_type)
    found.extend(f"{file.package}.{enum.name}" for enum in file.enum_type)
    for service in file.service:
        found.append(f"{file.package}.{service.name}")
        found.extend(f"{file.package}.{service.name}.{method.name}" for method in service.method)
    return found
