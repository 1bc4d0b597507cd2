"""The server under test as a check sees it. Every request and its answer is recorded for the report."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from gateway.conformance import messages
from gateway.conformance.call import HEADER_LENGTH, Call, Reply, read_http, read_message
from gateway.conformance.grpc_wire import GrpcAnswer, GrpcWire
from gateway.conformance.http_wire import Headers, HttpAnswer, HttpRequest, HttpWire, WireError
from gateway.conformance.subject import Subject
from gateway.conformance.verdicts import NotApplicable, RecordedExchange, Violation, require

_SHOWN: Final = 700
_EXCHANGES: Final = 12
_WRITTEN_OUT: Final = 64 << 10
JSON: Final = (("Content-Type", "application/json"),)


class ServerUnderTest:
    """The server, its model, and the requests and answers of the check that runs."""

    def __init__(
        self,
        http: HttpWire,
        grpc: GrpcWire | None,
        model: Subject,
        *,
        identities: Sequence[Subject] = (),
        extensions: frozenset[str] = frozenset(),
    ) -> None:
        self.http = http
        self._grpc = grpc
        self.model = model
        self._identities = tuple(identities)
        self.extensions = extensions
        self.exchanges: list[RecordedExchange] = []

    def __repr__(self) -> str:
        return f"<ServerUnderTest {self.http.address}, model {self.model.name}>"

    @property
    def grpc(self) -> GrpcWire:
        """The gRPC side.

        Raises:
            NotApplicable: when the run was given no address for it.
        """
        if self._grpc is None:
            raise NotApplicable("no gRPC address was given (--grpc HOST:PORT)")
        return self._grpc

    def identity(self, datatype: str, *, without: Collection[str] = ()) -> Subject:
        """Return a model that answers its inputs, has one of a datatype, and none of those in ``without``.

        Raises:
            NotApplicable: when the run was given none.
        """
        if not self._identities:
            raise NotApplicable("no identity model was given (--identity MODEL)")
        for subject in self._identities:
            datatypes = {spec.datatype for spec in subject.inputs}
            if datatype in datatypes and not datatypes & set(without):
                return subject
        raise NotApplicable("no identity model has such an input")

    def start(self) -> None:
        """Begin a new check: drop the recorded exchanges."""
        self.exchanges = []
        if self._grpc is not None:
            self._grpc.fresh()

    def ask(self, method: str, target: str, headers: Headers = (), body: Any = None) -> HttpAnswer:
        """Exchange one well-formed HTTP request; a ``body`` that is not bytes is sent as JSON.

        Raises:
            Violation: when no whole answer comes.
        """
        raw = body if isinstance(body, bytes | tuple) or body is None else json.dumps(body).encode()
        return self.in_turn(HttpRequest(method, target, tuple(headers), raw))[0]

    def in_turn(self, *requests: HttpRequest) -> list[HttpAnswer]:
        """Exchange well-formed HTTP requests on one connection.

        Raises:
            Violation: when one of them gets no whole answer.
        """
        sent = "\n---\n".join(show_request(request) for request in requests)
        try:
            answers = self.http.in_turn(*requests)
        except WireError as error:
            self._keep(sent, f"(no answer: {error})", is_unanswered=True)
            raise Violation(str(error)) from None
        self._keep(sent, "\n---\n".join(map(show_http, answers)))
        return answers

    def abandon_http(self, request: HttpRequest, size: int) -> None:
        """Send a request up to ``size`` bytes of its body, and leave.

        Raises:
            Violation: when the server cannot be connected to.
        """
        try:
            self.http.abandon(request, size)
        except WireError as error:
            self._keep(show_request(request), f"(no answer: {error})", is_unanswered=True)
            raise Violation(str(error)) from None
        self._keep(show_request(request), f"(left after {size} bytes of the body)")

    def get(self, target: str) -> HttpAnswer:
        """Exchange a GET."""
        return self.ask("GET", target)

    def post(self, target: str, body: Any, headers: Headers = JSON) -> HttpAnswer:
        """Exchange a POST with a body."""
        return self.ask("POST", target, headers, body)

    def infer(self, call: Call, headers: Headers = JSON, *, nested: bool = False) -> Reply:
        """Exchange an inference that must succeed: as JSON, or binary where JSON has no word for a datatype.

        Raises:
            Violation: when it does not.
        """
        if call.raw_only and headers is JSON and not nested:
            return self.infer_binary(call.but(parameters={**call.parameters, "binary_data_output": True}))[0]
        answer = self.post(f"{call.path}/infer", call.as_json(nested=nested), headers)
        return reply_of(answer)

    def infer_binary(self, call: Call) -> tuple[Reply, HttpAnswer]:
        """Exchange an inference with binary inputs; it must succeed.

        Raises:
            Violation: when it does not.
        """
        answer = self.send_binary(call)
        return reply_of(answer), answer

    def send_binary(self, call: Call) -> HttpAnswer:
        """Send an inference with binary inputs."""
        body, length = call.as_binary()
        headers = (("Content-Type", "application/octet-stream"), (HEADER_LENGTH, str(length)))
        return self.post(f"{call.path}/infer", body, headers)

    def call(self, method: str, message: Any, reply: Any, **options: Any) -> GrpcAnswer:
        """Make a gRPC call; whatever it ends with is returned."""
        answer = self.grpc.call(method, message, reply, **options)
        self._keep(f"gRPC {method}\n{_shown_message(message)}", show_grpc(answer))
        return answer

    def call_ok(self, method: str, message: Any, reply: Any, **options: Any) -> Any:
        """Make a gRPC call that must succeed; return its message.

        Raises:
            Violation: when it does not.
        """
        answer = self.call(method, message, reply, **options)
        require(answer.code == "OK", f"{method} ended with {answer.code}: {answer.details[:200]}")
        return answer.message

    def infer_grpc(self, call: Call, *, typed: bool = False, **options: Any) -> Reply:
        """Make a ModelInfer that must succeed.

        Raises:
            Violation: when it does not.
        """
        message = call.as_message(typed=typed)
        return read_message(self.call_ok("ModelInfer", message, messages.ModelInferResponse, **options))

    def goes_on(self) -> None:
        """Require that a right request over HTTP is answered, after something that was not right.

        Raises:
            Violation: when it is not.
        """
        call = self.model.call()
        answer = self.send_binary(call) if call.raw_only else self.post(f"{call.path}/infer", call.as_json())
        require(answer.status == 200, f"afterwards a right request is answered with {answer.status}")

    def goes_on_grpc(self) -> None:
        """Require the same over gRPC.

        Raises:
            Violation: when it is not.
        """
        code = self.call("ModelInfer", self.model.call().as_message(), messages.ModelInferResponse).code
        require(code == "OK", f"afterwards a right request ends with {code}")

    def stream(self, method: str, sent: Iterable[Any], reply: Any, **options: Any) -> GrpcAnswer:
        """Make a call with streams both ways."""
        listed = list(sent)
        answer = self.grpc.stream(method, listed, reply, **options)
        texts = "\n".join(_shown_message(message) for message in listed)
        self._keep(f"gRPC {method} (stream of {len(listed)})\n{texts}", show_grpc(answer))
        return answer

    def watch(self, method: str, message: Any, reply: Any, *, stop_after: int) -> GrpcAnswer:
        """Make a call that is answered by a stream; leave after ``stop_after`` answers."""
        answer = self.grpc.watch(method, message, reply, stop_after=stop_after)
        self._keep(f"gRPC {method}\n{_shown_message(message)}", show_grpc(answer))
        return answer

    def abandon(self, method: str, message: Any, after_s: float) -> None:
        """Start a gRPC call and cancel it after a moment."""
        self.grpc.abandon(method, message, after_s)
        self._keep(f"gRPC {method}, cancelled after {after_s * 1000:g} ms", "")

    @contextmanager
    def given(self, what: str) -> Iterator[None]:
        """Do what must work before there is anything to judge; where it does not, another check says so.

        Raises:
            NotApplicable: when it does not work.
        """
        try:
            yield
        except Violation:
            raise NotApplicable(f"{what} does not work") from None

    def _keep(self, sent: str, got: str, *, is_unanswered: bool = False) -> None:
        kept = RecordedExchange(_short(sent), _short(got), is_unanswered)
        self.exchanges = [*self.exchanges[1 - _EXCHANGES :], kept]


def reply_of(answer: HttpAnswer) -> Reply:
    """Read an inference answer that must be a success.

    Raises:
        Violation: when it is none.
    """
    require(answer.status == 200, f"status {answer.status}, not 200: {printable(answer.body)[:200]}")
    return read_http(answer)


def show_http(answer: HttpAnswer) -> str:
    """Return an answer as one can read it."""
    lines = [str(answer.status), *(f"{name}: {value}" for name, value in answer.headers)]
    return "\n".join(lines) + _shown(answer.body)


def show_request(request: HttpRequest) -> str:
    """Return a request as one can read it."""
    lines = [f"{request.method} {request.target}", *(f"{name}: {value}" for name, value in request.headers)]
    body = request.body
    return "\n".join(lines) + _shown(b"".join(body) if isinstance(body, tuple) else body)


def show_grpc(answer: GrpcAnswer) -> str:
    """Return the end of a call as one can read it."""
    texts = [f"{answer.code} {printable(answer.details.encode())}".strip()]
    return "\n".join((*texts, *(_shown_message(message) for message in answer.messages)))


def printable(raw: bytes) -> str:
    """Return bytes as text; what cannot be printed is escaped, so that no server writes to a terminal."""
    text = raw.decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def _shown(raw: bytes | None) -> str:
    return f"\n\n{printable(raw[: 2 * _SHOWN])}" if raw else ""


def _shown_message(message: Any) -> str:
    if isinstance(message, bytes):
        return printable(message[:_SHOWN])
    if message.ByteSize() > _WRITTEN_OUT:
        return f"({message.ByteSize()} bytes of {message.DESCRIPTOR.full_name})"
    return printable(str(message).encode())


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
