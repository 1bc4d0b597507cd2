"""Memory that clients share with a server: there is none, over REST and over gRPC."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.listeners.oip.shared_memory import NO_SHARED_MEMORY, check, refusal
from gateway.wire.proto import messages
from tests.contract.test_applications import call, wire


@pytest.mark.parametrize("memory", ["system", "cuda"])
async def test_the_same_over_both(memory: str) -> None:
    """No region is listed or found, none can be registered, and to unregister is to have nothing done."""
    on, kind = wire(), f"{memory.capitalize()}SharedMemory"
    empty, named = b"", messages.SharedMemoryStatusRequest(name="r")
    rest = f"/v2/{memory}sharedmemory"
    outcomes = {}
    for verb, method in (("status", "GET"), ("register", "POST"), ("unregister", "POST")):
        for region in ("", "/region/r"):
            if verb == "register" and not region:
                continue
            reply = await on.ask(method, f"{rest}{region}/{verb}", empty)
            rpc = await call(on, f"{kind}{verb.capitalize()}", named if region else type(named)())
            outcomes[verb, region] = (reply.status, int(rpc.trailers["grpc-status"]))

    assert outcomes == {
        ("status", ""): (200, 0),
        ("status", "/region/r"): (404, 5),
        ("register", "/region/r"): (501, 12),
        ("unregister", ""): (200, 0),
        ("unregister", "/region/r"): (200, 0),
    }
    assert (await on.ask("GET", f"{rest}/status")).json() == []
    unknown = await on.ask("GET", f"{rest}/region/r/status")
    assert unknown.error == f"Unable to find {memory} shared memory region: 'r'"


def test_what_is_said() -> None:
    """A question about all is none about one; the refusal says what to do instead."""
    check("system", "")
    with pytest.raises(GatewayError, match="Unable to find cuda shared memory region") as caught:
        check("cuda", "r\nn")
    assert caught.value.fault is Fault.NOT_FOUND
    assert (refusal().fault, refusal().message) == (Fault.UNSUPPORTED, NO_SHARED_MEMORY)
