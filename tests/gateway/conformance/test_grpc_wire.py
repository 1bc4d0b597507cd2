"""gRPC calls: however they end, an answer comes back, within its time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from gateway.conformance import messages
from gateway.conformance.grpc_wire import GrpcWire, alternatives, opened

REPLY = messages.ServerReadyResponse


class Server(grpc.GenericRpcHandler):
    """Answers by the method's name; ``released`` lets `Waits` end."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        name = details.method.rpartition("/")[2]
        behave = getattr(self, name.lower(), None)
        return behave and grpc.stream_stream_rpc_method_handler(behave)

    def ready(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.send_initial_metadata((("before", "a"),))
        context.set_trailing_metadata((("behind", "b"), ("raw-bin", b"\xff")))
        for _ in requests:
            yield REPLY(ready=True).SerializeToString()

    def refuses(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.set_trailing_metadata((("behind", "b"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        yield b""

    def garbage(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"\xff\xff\xff\xff"

    def waits(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self.released.wait(30)
        yield b""

    def endless(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        while context.is_active():
            yield REPLY(ready=True).SerializeToString()


@pytest.fixture
def wire() -> Iterator[GrpcWire]:
    handler = Server()
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, (handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with opened(f"127.0.0.1:{port}", timeout_s=10, tls=False) as wire:
                assert wire is not None
                yield wire
        finally:
            handler.released.set()
            server.stop(None).wait()


def ended(wire: GrpcWire, method: str, **options: Any) -> tuple[str, str]:
    answer = wire.call(f"suite/{method}", b"", REPLY, **options)
    return answer.code, answer.details


def test_a_call_returns_message_and_metadata(wire: GrpcWire) -> None:
    """Text metadata from before and behind the message; binary ones are left out."""
    answer = wire.call("suite/Ready", messages.Empty(), REPLY)

    assert (answer.code, answer.message.ready) == ("OK", True)
    assert [answer.metadata_value(name) for name in ("before", "behind", "raw-bin")] == ["a", "b", ""]


def test_failures_are_answers(wire: GrpcWire) -> None:
    assert ended(wire, "Refuses") == ("NOT_FOUND", "no such model")
    assert wire.call("suite/Refuses", b"", REPLY).metadata_value("behind") == "b"
    assert ended(wire, "Garbage")[0] == "UNREADABLE"
    assert ended(wire, "Nothing")[0] == "UNIMPLEMENTED"
    assert ended(wire, "Waits", timeout_s=0.05)[0] == "DEADLINE_EXCEEDED"


def test_streams_end_with_the_server_or_after_enough_answers(wire: GrpcWire) -> None:
    whole = wire.stream("suite/Ready", [b"", b"", b""], REPLY)
    part = wire.stream("suite/Endless", [b""], REPLY, stop_after=2)
    watched = wire.watch("suite/Endless", b"", REPLY, stop_after=1)

    assert (whole.code, len(whole.messages)) == ("OK", 3)
    assert (part.code, len(part.messages)) == ("CANCELLED", 2)
    assert (watched.code, len(watched.messages)) == ("CANCELLED", 1)
    assert wire.stream("suite/Garbage", [b""], REPLY).code == "UNREADABLE"
    assert wire.stream("suite/Refuses", [b""], REPLY).code == "NOT_FOUND"


def test_a_fresh_channel_works_after_a_cancelled_call(wire: GrpcWire) -> None:
    wire.abandon("suite/Waits", b"", 0)
    wire.fresh()

    assert ended(wire, "Ready") == ("OK", "")


def test_no_target_no_wire() -> None:
    with opened("", timeout_s=1, tls=False) as wire:
        assert wire is None


def test_codes_as_text() -> None:
    assert alternatives(["NOT_FOUND", "INTERNAL"]) == "NOT_FOUND or INTERNAL"
