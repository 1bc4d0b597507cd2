"""Calls over gRPC; every one ends within its time, and none raises."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from gateway.conformance.messages import SERVICE

MAX_BYTES: Final = 64 << 20
MAX_MESSAGES: Final = 1000
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_BYTES),
    ("grpc.max_send_message_length", MAX_BYTES),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # Otherwise a new channel shares the broken connection of an old one, and its back-off.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class GrpcAnswer:
    """How a call ended: a status code's name, its text, and the messages that came before."""

    code: str
    details: str = ""
    messages: tuple[Any, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    """Of a call with one answer: what came before it and behind it."""

    def metadata_value(self, name: str) -> str:
        """Return the value of a metadata key; empty when it is not there."""
        return next((value for key, value in self.metadata if key == name), "")

    @property
    def message(self) -> Any:
        """The first message; None when none came."""
        return self.messages[0] if self.messages else None


class GrpcWire:
    """Calls on one channel; ``fresh`` replaces the channel."""

    def __init__(self, target: str, *, timeout_s: float = 10.0, tls: bool = False) -> None:
        self.target = target
        self.timeout_s = timeout_s
        self._tls = tls
        self._channel = self._open()

    def __repr__(self) -> str:
        return f"<GrpcWire {self.target}, {self.timeout_s:g} s>"

    def fresh(self) -> None:
        """Replace the connection by a new one."""
        self._channel.close()
        self._channel = self._open()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def call(
        self, method: str, message: Any, reply: Any, *, timeout_s: float | None = None, **options: Any
    ) -> GrpcAnswer:
        """Make a call with one message each way; ``message`` may be bytes that are no message."""
        rpc = self._channel.unary_unary(_path(method))
        try:
            received, call = rpc.with_call(_wire(message), timeout=timeout_s or self.timeout_s, **options)
            return GrpcAnswer("OK", "", (reply.FromString(received),), _metadata(call))
        except grpc.RpcError as error:
            return replace(_ended(error), metadata=_metadata(error))
        except DecodeError:
            return GrpcAnswer("UNREADABLE", "the answer is not the message that it must be")

    def stream(
        self,
        method: str,
        sent: Iterable[Any],
        reply: Any,
        *,
        stop_after: int = 0,
        timeout_s: float | None = None,
    ) -> GrpcAnswer:
        """Send messages, close our side, and read until the server ends.

        ``stop_after`` cancels the call after so many answers: the code is then ``CANCELLED``.
        """
        rpc = self._channel.stream_stream(_path(method))
        return self._read(rpc(map(_wire, sent), timeout=timeout_s or self.timeout_s), reply, stop_after)

    def watch(self, method: str, message: Any, reply: Any, *, stop_after: int) -> GrpcAnswer:
        """Send one message and read answers until there are ``stop_after``, then cancel."""
        rpc = self._channel.unary_stream(_path(method))
        return self._read(rpc(_wire(message), timeout=self.timeout_s), reply, stop_after)

    def abandon(self, method: str, message: Any, after_s: float) -> None:
        """Start a call and cancel it after a moment."""
        future = self._channel.unary_unary(_path(method)).future(_wire(message), timeout=self.timeout_s)
        time.sleep(after_s)
        future.cancel()

    @staticmethod
    def _read(call: Any, reply: Any, stop_after: int) -> GrpcAnswer:
        received: list[Any] = []
        try:
            for data in call:
                received.append(reply.FromString(data))
                if len(received) == (stop_after or MAX_MESSAGES):
                    call.cancel()
                    return GrpcAnswer("CANCELLED", "", tuple(received))
            return GrpcAnswer("OK", "", tuple(received))
        except grpc.RpcError as error:
            ended = _ended(error)
            return GrpcAnswer(ended.code, ended.details, tuple(received))
        except DecodeError:
            call.cancel()
            return GrpcAnswer("UNREADABLE", "the answer is not the message that it must be", tuple(received))

    def _open(self) -> grpc.Channel:
        if self._tls:
            return grpc.secure_channel(self.target, grpc.ssl_channel_credentials(), _OPTIONS)
        return grpc.insecure_channel(self.target, _OPTIONS)


@contextmanager
def opened(target: str, *, timeout_s: float, tls: bool) -> Iterator[GrpcWire | None]:
    """Open a wire for a run; None when there is no target."""
    wire = GrpcWire(target, timeout_s=timeout_s, tls=tls) if target else None
    try:
        yield wire
    finally:
        if wire is not None:
            wire.close()


def _path(method: str) -> str:
    return f"/{method}" if "/" in method else f"/{SERVICE}/{method}"


def _wire(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


def _metadata(call: Any) -> tuple[tuple[str, str], ...]:
    pairs = (*(call.initial_metadata() or ()), *(call.trailing_metadata() or ()))
    return tuple((name, value) for name, value in pairs if isinstance(value, str))


def _ended(error: grpc.RpcError) -> GrpcAnswer:
    code = error.code()
    return GrpcAnswer(code.name if code is not None else "UNKNOWN", error.details() or "")


def alternatives(codes: Sequence[str]) -> str:
    """Return the codes as text: ``A or B``."""
    return " or ".join(codes)
