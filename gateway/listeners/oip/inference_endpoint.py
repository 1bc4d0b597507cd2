"""The inference endpoint, one for every encoding: from a head and a body to the stack, and back to an answer.

What differs between REST and gRPC is bytes and statuses: those are an ``InferenceCodec``'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Final, Protocol

from msgspec.structs import replace

from gateway.core.cache_control import CacheDirectives
from gateway.core.errors import GatewayError
from gateway.core.request import Parameter, Request, Response
from gateway.core.service import NumberedService, Pending
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, Head, PendingAnswer
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.oip.fast_paths import FastPaths
from gateway.listeners.oip.request_headers import OipHeaderReader, OipRequestHeaders
from gateway.listeners.refusals import RefusalCounter
from gateway.wire.cache_control import PARAMETER as CACHE_CONTROL
from gateway.wire.cache_control import parse_cache_control
from gateway.wire.grpc_framing import parse_timeout
from gateway.wire.headers import LOAD, parse_timeout_ms
from gateway.wire.oip.inference import Inference, OutputFormat
from gateway.wire.oip.paths import ParsedPath
from gateway.wire.oip.reuse import Layout
from gateway.wire.trace_context import REQUEST_ID

_LOAD: Final = LOAD.encode()
_TEXT: Final = "text"
"""The form of a load report that is answered; Triton also has ``json``."""


class InferenceCodec(Protocol):
    """Bytes of one encoding ⇄ the values of an inference."""

    def decode(
        self, path: ParsedPath, headers: OipRequestHeaders, body: Buffer
    ) -> Inference | Awaitable[Inference]:
        """Read a body, at once if nothing has to be waited for.

        Raises:
            GatewayError: INVALID, TOO_LARGE or UNSUPPORTED.
        """
        ...

    def layout(self, headers: OipRequestHeaders, body: Buffer) -> Layout | None:
        """Return how bodies look that differ from this one in nothing but their data, if it is known."""
        ...

    def coding(self, headers: OipRequestHeaders) -> str | None:
        """Return how the answer may be compressed, in the form that ``encode`` takes."""
        ...

    def encode(
        self,
        output_format: OutputFormat,
        request_id: str,
        coding: str | None,
        generation: int,
        response: Response,
    ) -> Answer | PendingAnswer:
        """Write the answer of a request, at once unless that would hold the event loop.

        Raises:
            GatewayError: INVALID for an output that cannot be written as it is wanted.
        """
        ...


class InferenceEndpoint:
    """Answers inference requests of one encoding, and counts those that it refuses."""

    def __init__(
        self,
        data_plane: DataPlane,
        codec: InferenceCodec,
        reader: OipHeaderReader,
        refusals: RefusalCounter,
    ) -> None:
        self._region = data_plane.region
        self._now = data_plane.clock.now
        self._decode, self._layout = codec.decode, codec.layout
        self._coding, self._encode = codec.coding, codec.encode
        self.identify = self._identify = reader.identify
        """Returns the headers of a head whose caller a generation has identified."""
        self._refusals = refusals
        self._load = data_plane.load
        self._fast_paths = fast_paths = FastPaths()
        self.remembered = fast_paths.answer
        """Answers a request of a known series from memory; None: it must be read, so call the endpoint."""

    def __repr__(self) -> str:
        return f"<InferenceEndpoint of {self._region}, {self._fast_paths!r}>"

    def __call__(
        self, head: Head, path: ParsedPath, body: Buffer, generation: NumberedService, request_id: str = ""
    ) -> Answer | PendingAnswer:
        """Answer one request, at once if the stack does; ``request_id`` goes with it.

        Raises:
            GatewayError: of the codec or of the stack.
        """
        fast_paths = self._fast_paths
        if fast_paths.generation is not generation:
            fast_paths.begin(generation)
        now = self._now()
        headers = self._identify(head, generation, path.model, path.version)
        try:
            inference = self._decode(path, headers, body)
            if not isinstance(inference, Inference):
                pending = self.prepare(inference, path, headers, now, request_id=request_id)
                return self._answer_later(pending, headers, generation)
            request = to_request(path, inference, headers, now, request_id)
        except GatewayError as error:
            self._refusals.count(error.fault)
            raise
        if request.cache_control is not None:
            inference = _remembered_as_wanted(inference, request.cache_control)
        response = generation(request)
        coding = self._coding(headers)
        if not isinstance(response, Response):
            later = self._encode_later(inference, coding, generation.number, response)
            return later if headers.load_format is None else self._with_load(later, headers.load_format)
        learn(inference, is_here=True)
        if not inference.id and request.cache_control is None:
            fast_paths.learn(
                head,
                partial(self._layout, headers, body),
                request,
                headers=headers,
                generation=generation,
                write=partial(self._encode, inference.output_format, "", coding, generation.number),
            )
        return self._encode(inference.output_format, inference.id, coding, generation.number, response)

    async def prepare(
        self,
        inference: Awaitable[Inference],
        path: ParsedPath,
        headers: OipRequestHeaders,
        now: float | None = None,
        *,
        request_id: str = "",
    ) -> tuple[Inference, Request]:
        """Wait until a request is decoded that came at loop time ``now`` (None: just now).

        The stack is not called.

        Raises:
            GatewayError: of ``inference``, or INVALID for a time limit that is none.
        """
        now = self._now() if now is None else now
        with self._refusals:
            decoded = await inference
            request = to_request(path, decoded, headers, now, request_id)
            if request.cache_control is not None:
                decoded = _remembered_as_wanted(decoded, request.cache_control)
            return decoded, request

    async def _answer_later(
        self,
        pending: Awaitable[tuple[Inference, Request]],
        headers: OipRequestHeaders,
        generation: NumberedService,
    ) -> AnyAnswer:
        inference, request = await pending
        later = self._encode_later(inference, self._coding(headers), generation.number, generation(request))
        return await (later if headers.load_format is None else self._with_load(later, headers.load_format))

    async def _with_load(self, later: Awaitable[AnyAnswer], form: str) -> AnyAnswer:
        """Say in an answer how loaded this process is, if the client asked for it in a form that we have."""
        answer = await later
        if self._load is None or form.lower() != _TEXT or not isinstance(answer, Answer):
            return answer
        pair = (_LOAD, self._load())
        if answer.trailers:
            return replace(answer, trailers=(*answer.trailers, pair))
        return replace(answer, extra=(*answer.extra, pair))

    async def _encode_later(
        self, inference: Inference, coding: str | None, generation: int, response: Response | Pending
    ) -> AnyAnswer:
        is_here = isinstance(response, Response)
        answered = await response
        learn(inference, is_here=is_here)
        encoded = self._encode(inference.output_format, inference.id, coding, generation, answered)
        return encoded if isinstance(encoded, Answer) else await encoded


def learn(inference: Inference, *, is_here: bool) -> None:
    """Remember how a request was read that has been answered; ``is_here``: from this region's memory."""
    lesson = inference.lesson
    if lesson is not None and (is_here or not lesson.is_whole):
        lesson.learn()


def _remembered_as_wanted(inference: Inference, control: CacheDirectives) -> Inference:
    """Return ``inference``, of which nothing is remembered where nothing is to be stored of the request."""
    return replace(inference, lesson=None) if control.no_store else inference


def _cache_control(header: str | None, parameters: Mapping[str, Parameter]) -> CacheDirectives | None:
    """Return what the client wants of the cache, by its header and by its parameter together."""
    said = [text for text in (header, parameters.get(CACHE_CONTROL)) if isinstance(text, str)]
    found = [control for text in said if (control := parse_cache_control(text)) is not None]
    if len(found) < 2:
        return found[0] if found else None
    one, other = found
    return CacheDirectives(
        no_cache=one.no_cache or other.no_cache,
        no_store=one.no_store or other.no_store,
        only_if_cached=one.only_if_cached or other.only_if_cached,
        max_age_s=min(one.max_age_s, other.max_age_s),
    )


def to_request(
    path: ParsedPath, inference: Inference, headers: OipRequestHeaders, now: float, request_id: str = ""
) -> Request:
    """Build the request from its path, body and headers; ``now``: when it came, in loop time.

    ``request_id``: the one that the client gave it or that was made for it; empty: it has none.

    Raises:
        GatewayError: INVALID for a time limit that is none.
    """
    timeout_s = inference.timeout_s
    if headers.grpc_timeout is not None:
        timeout_s = min(timeout_s, parse_timeout(headers.grpc_timeout))
    if headers.timeout_ms is not None:
        timeout_s = min(timeout_s, parse_timeout_ms(headers.timeout_ms))
    parameters, control = inference.parameters, None
    if headers.cache_control is not None or (parameters and CACHE_CONTROL in parameters):
        control = _cache_control(headers.cache_control, parameters)
        # It says nothing to models: it is in no key, and no endpoint gets it.
        parameters = {name: value for name, value in parameters.items() if name != CACHE_CONTROL}
    return Request(
        # Over HTTP the path names the model, over gRPC the message does.
        model=path.model or inference.model,
        inputs=inference.inputs,
        id=inference.id,
        version=path.version or inference.version,
        outputs=inference.outputs,
        parameters=parameters,
        caller=headers.caller,
        deadline=now + timeout_s,
        regions=headers.regions,
        hops=headers.hops,
        trace=(*headers.trace, (REQUEST_ID, request_id)) if request_id else headers.trace,
        headers=headers.forwarded,
        routed=headers.routed,
        classes=inference.output_format.classes,
        output_parameters=inference.output_format.parameters,
        cache_control=control,
    )
