"""Steps that go to another worker, over a real UNIX socket: there, back, cancelled, and when it is gone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from gateway.app.workers.step_listener import StepListener, mark
from gateway.app.workers.step_peer import StepPeer
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Caller, Request, Response
from gateway.core.tensor import Tensor
from tests.fakes.service import HANG, ScriptedService, answer, request


@pytest.fixture
def path():
    """A short one: the name of a UNIX socket may have some 100 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "steps-0.sock"


@asynccontextmanager
async def listening(path, service) -> AsyncIterator[StepListener]:
    listener = StepListener(path, service)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.aclose()


async def test_a_step_arrives_as_it_was_sent(path):
    """With its caller, deadline and parameters; large data and read-only mappings among them."""
    service = ScriptedService(answer(value=3.0))
    data = np.arange(1 << 20, dtype=np.float32).reshape(1, -1)
    sent = Request(
        "sums",
        (Tensor.from_numpy("x", data), Tensor("t", "UINT8", (2,), memoryview(b"ab"))),
        parameters=MappingProxyType({"sequence_id": 1 << 63, "sequence_start": True}),
        caller=Caller("1.2.3.4", "a", residency="eu", regions=frozenset({"here"})),
        deadline=5.0,
    )
    peer = StepPeer(path)

    async with listening(path, service):
        response = await peer(sent)
        await peer.aclose()

    assert service.requests == [sent]
    assert response == answer(value=3.0)


async def test_steps_of_many_sequences_share_a_connection(path):
    """Each gets its own answer, in whatever order they come: the first step is answered last."""
    others = 49

    class FirstIsLast:
        def __init__(self) -> None:
            self.done, self.is_last = 0, asyncio.Event()

        async def __call__(self, request: Request) -> Response:
            if request.id == "0":
                await self.is_last.wait()
            self.done += 1
            if self.done == others:
                self.is_last.set()
            return answer(value=float(request.id))

    peer = StepPeer(path)

    async with listening(path, FirstIsLast()):
        responses = await asyncio.gather(*(peer(request(id=str(number))) for number in range(1 + others)))
        await peer.aclose()

    assert [response.outputs[0].numpy().flat[0] for response in responses] == list(range(1 + others))


async def test_an_error_comes_back_whole(path):
    """With all that is known of it."""
    error = GatewayError(
        Fault.OVERLOADED, "full", retryable=True, retry_after_s=2.0, why=Why("error", "x", of_model=True)
    )
    peer = StepPeer(path)

    async with listening(path, ScriptedService(error, ZeroDivisionError("secret"))):
        with pytest.raises(GatewayError) as caught:
            await peer(request())
        with pytest.raises(GatewayError) as bug:
            await peer(request())
        await peer.aclose()

    assert repr(caught.value) == repr(error)
    assert (caught.value.why, caught.value.retry_after_s) == (error.why, 2.0)
    assert (bug.value.fault, bug.value.message) == (Fault.INTERNAL, "internal error")


async def test_a_caller_who_leaves_cancels_the_step_there(path):
    """And no other."""
    service = ScriptedService(HANG)
    peer = StepPeer(path)

    async with listening(path, service):
        first, second = (asyncio.create_task(peer(request(id=number))) for number in "12")
        while service.running < 2:
            await asyncio.sleep(0)
        first.cancel()
        while service.running == 2:
            await asyncio.sleep(0)
        service.release()
        response = await second
        await peer.aclose()

    assert response == answer()
    assert first.cancelled()


async def test_a_worker_that_is_gone_has_lost_its_sequences(path):
    """Steps under way, and those to come until another takes its place."""
    service = ScriptedService(HANG, answer())
    peer = StepPeer(path)

    with pytest.raises(GatewayError) as before:
        await peer(request())
    async with listening(path, service):
        under_way = asyncio.create_task(peer(request()))
        while not service.running:
            await asyncio.sleep(0)
    with pytest.raises(GatewayError, match="begin the sequence anew, with sequence_start") as caught:
        await under_way
    with pytest.raises(GatewayError) as after:
        await peer(request())
    async with listening(path, service):
        again = await peer(request())
        await peer.aclose()

    assert {error.value.fault for error in (before, caught, after)} == {Fault.OVERLOADED}
    assert again == answer()


async def test_a_successor_gets_all_steps_at_once(path):
    """Also from those who are connected to the worker before it, which finishes what it has."""
    old, new = ScriptedService(HANG, answer("edge")), ScriptedService(answer("central"))
    peer = StepPeer(path)

    async with listening(path, old) as before:
        under_way = asyncio.create_task(peer(request()))
        while not old.running:
            await asyncio.sleep(0)
        async with listening(path, new) as after:
            response = await peer(request())
            owners = before.is_owner(), after.is_owner()
            old.release()
            finished = await under_way
            await peer.aclose()
            await before.aclose()
            is_there = path.exists()

    assert response.provenance.origin == "central"
    assert finished == answer()
    assert owners == (False, True)
    assert is_there


async def test_what_still_comes_to_the_one_before_is_refused(path):
    """A step that was on its way at that moment must not find a state that is lost for the others."""
    old, new = ScriptedService(answer()), ScriptedService(answer())
    peer = StepPeer(path)

    async with listening(path, old):
        await peer(request())
        found = mark(path)
        async with listening(path, new):
            stale = StepPeer(path)
            await stale(request())
            is_other = mark(path) != found
            await stale.aclose()
        await peer.aclose()

    assert is_other
    assert len(old.requests) == len(new.requests) == 1
