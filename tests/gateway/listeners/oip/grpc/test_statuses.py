"""How gRPC answers end."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance
from gateway.listeners.oip.grpc.statuses import MAX_MESSAGE, Statuses
from gateway.wire.faults import STATUSES
from tests.fakes.service import ScriptedService
from tests.gateway.listeners.oip.grpc.calls import (
    call,
    infer,
    wire,
)


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_fault_has_its_status(fault):
    """Errors are trailers alone, with the message percent-encoded."""
    error = GatewayError(fault, "50% é", retry_after_s=2.5 if fault is Fault.OVERLOADED else None)

    _, trailers = await call("ModelInfer", infer(), on=wire(ScriptedService(error)))

    assert trailers["grpc-status"] == str(STATUSES[fault].grpc)
    assert unquote(trailers["grpc-message"]) == "50% é"
    assert trailers.get("grpc-retry-pushback-ms") == ("2500" if fault is Fault.OVERLOADED else None)
    assert trailers["x-edgeway-served-by"] == "eu-west"


async def test_overload_without_a_time():
    """A second is a good guess."""
    error = GatewayError(Fault.OVERLOADED, "full")

    _, trailers = await call("ModelInfer", infer(), on=wire(ScriptedService(error)))

    assert (trailers["retry-after"], trailers["grpc-retry-pushback-ms"]) == ("1", "1000")


def test_trailers_that_repeat_are_shared():
    """Those of a success are rendered once for equal generations and provenances."""
    statuses = Statuses("eu-west")

    assert statuses.ok(7, Provenance("edge")) is statuses.ok(7, Provenance("edge"))
    assert dict(statuses.ok(7)) == {
        b"grpc-status": b"0",
        b"x-edgeway-served-by": b"eu-west",
        b"x-edgeway-policy-generation": b"7",
    }
    assert repr(statuses) == "<Statuses of eu-west>"


def test_a_message_is_short_and_printable():
    """Clients bound the size of trailers."""
    answer = Statuses("eu-west").error(GatewayError(Fault.INVALID, "a\r\n" + "x" * 2000), 7)

    message = dict(answer.trailers)[b"grpc-message"]
    assert (answer.status, answer.body) == (200, ())
    assert len(message) <= MAX_MESSAGE
    assert b"\r" not in message and b"%0D" not in message
