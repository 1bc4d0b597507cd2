"""The health service's Watch."""

from __future__ import annotations

import asyncio

from gateway.http.exchange import StreamedAnswer
from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from gateway.listeners.oip.grpc.health_ticker import HEALTH_PAUSE_S, REPEAT_LOOKS
from gateway.wire.proto import messages
from tests.fakes.clock import VirtualClock
from tests.fakes.exchange import in_pieces, stepped
from tests.fakes.virtual_time import virtual_time
from tests.gateway.listeners.oip.grpc.calls import (
    GRPC,
    HEALTH,
    framed,
    unframed,
    wire,
)


@virtual_time
async def test_watch():
    """Health is told at once and when it changes."""
    ready = True
    connection = wire(is_ready=lambda: ready, clock=VirtualClock())
    head = connection.head("POST", f"/{HEALTH}/Watch", GRPC)
    body = in_pieces(framed(messages.HealthCheckRequest()))
    answer, _ = await stepped(connection.application.answer_stream(head, body))
    assert isinstance(answer, StreamedAnswer)
    states = aiter(answer.source)

    first = await anext(states)
    looking = asyncio.create_task(anext(states))
    await asyncio.sleep(3.5 * HEALTH_PAUSE_S)
    ready = False
    second = await looking
    await answer.source.aclose()

    assert [messages.HealthCheckResponse.FromString(m[5:]).status for m in (first, second)] == [1, 2]
    assert asyncio.get_running_loop().time() >= 4 * HEALTH_PAUSE_S


@virtual_time
async def test_the_same_health_is_sent_again():
    """Once a minute, so that the stream never counts as one in which nothing happens."""
    connection = wire(clock=VirtualClock())
    head = connection.head("POST", f"/{HEALTH}/Watch", GRPC)
    answer, _ = await stepped(
        connection.application.answer_stream(head, in_pieces(framed(messages.HealthCheckRequest())))
    )
    assert isinstance(answer, StreamedAnswer)
    states, came, time = aiter(answer.source), [], asyncio.get_running_loop().time
    began = time()

    for _ in range(3):
        state = messages.HealthCheckResponse.FromString((await anext(states))[5:]).status
        came.append((state, round((time() - began) / HEALTH_PAUSE_S)))
    await answer.source.aclose()

    assert came == [(1, 0), (1, REPEAT_LOOKS), (1, 2 * REPEAT_LOOKS)]


async def test_a_connection_that_ends_does_not_serve():
    """The client hears it as a state before the status."""
    body = in_pieces(framed(messages.HealthCheckRequest()))
    body.leaves = True

    reply = await wire().ask("POST", f"/{HEALTH}/Watch", body, GRPC)

    assert [messages.HealthCheckResponse.FromString(each).status for each in unframed(reply.body)] == [2]
    assert reply.trailers["grpc-status"] == "14"


async def test_too_many_watch():
    """The next one is refused as gRPC has it, and one that leaves makes room."""
    settings = ProtocolSettings(max_health_watches=2)
    connection = wire(extensions=Extensions(settings=settings))
    open_ones = []
    for _ in range(2):
        head = connection.head("POST", f"/{HEALTH}/Watch", GRPC)
        body = in_pieces(framed(messages.HealthCheckRequest()))
        answer, _ = await stepped(connection.application.answer_stream(head, body))
        await anext(aiter(answer.source))
        open_ones.append(answer.source)

    async def one_more() -> str:
        body = in_pieces(framed(messages.HealthCheckRequest()))
        body.leaves = True
        return (await connection.ask("POST", f"/{HEALTH}/Watch", body, GRPC)).trailers["grpc-status"]

    assert await one_more() == "8"
    await open_ones.pop().aclose()
    assert await one_more() == "14"
    await open_ones.pop().aclose()


async def test_a_service_that_there_is_not():
    """It is unknown, as the health protocol has it, and stays so to the end of the connection."""
    connection = wire()
    head = connection.head("POST", f"/{HEALTH}/Watch", GRPC)
    body = in_pieces(framed(messages.HealthCheckRequest(service="no.such.Service")))
    answer, _ = await stepped(connection.application.answer_stream(head, body))
    states = aiter(answer.source)

    first = messages.HealthCheckResponse.FromString((await anext(states))[5:]).status
    body.leaves = True
    rest = [state async for state in states]

    assert (first, rest) == (3, [])
