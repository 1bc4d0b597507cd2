"""Which worker answers a step: one, whichever of them it came to."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.sequence_owner import SequenceOwner, make_sequence_owner
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request
from tests.fakes.service import HANG, ScriptedService, answer, request


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def step(number: int, **more: object) -> Request:
    return request(parameters={"sequence_id": number, **more})


async def opened(
    folder: Path,
    slot: int,
    count: int,
    service: ScriptedService,
    lifetimes: AsyncExitStack,
    *,
    holds=True,
    stands_in=False,
) -> SequenceOwner | None:
    inheritance = Inheritance(slot, slot + 1, {}, 0, 0, "", str(folder / "parent.sock"), count)
    owner = make_sequence_owner(inheritance, service, lambda _: holds, stands_in=stands_in)
    if owner is not None:
        lifetimes.push_async_callback(owner.aclose)
        await owner.start()
    return owner


async def ask(
    owners: Sequence[SequenceOwner], services: Sequence[ScriptedService], each: Request
) -> set[str]:
    """The workers that answered a request which came to every worker."""
    return {
        (await owner(each, service)).outputs[0].numpy().flat[0]
        for owner, service in zip(owners, services, strict=True)
    }


async def test_every_step_is_answered_by_one_worker(folder):
    """Whichever it came to; each has some."""
    services = [ScriptedService(answer(value=float(slot))) for slot in range(3)]
    async with AsyncExitStack() as lifetimes:
        owners = [await opened(folder, slot, 3, services[slot], lifetimes) for slot in range(3)]
        found = [await ask(owners, services, step(number)) for number in range(1, 40)]

    assert all(len(workers) == 1 for workers in found)
    assert set().union(*found) == {0.0, 1.0, 2.0}


async def test_what_is_no_step_stays(folder):
    """A request without a sequence, and one for a model without state, is answered where it came."""
    services = [ScriptedService(answer(value=float(slot))) for slot in range(2)]
    async with AsyncExitStack() as lifetimes:
        owners = [await opened(folder, slot, 2, services[slot], lifetimes, holds=False) for slot in range(2)]
        found = [await ask(owners, services, each) for each in (request(), *map(step, range(1, 20)))]

    assert all(workers == {0.0, 1.0} for workers in found)


async def test_a_lost_worker_is_told_and_its_successor_takes_its_sequences(folder):
    """No other takes them over meanwhile: a state that is there twice would answer wrongly one day."""
    services = [ScriptedService(answer(value=float(slot))) for slot in range(2)]
    async with AsyncExitStack() as lifetimes:
        first = await opened(folder, 0, 2, services[0], lifetimes)
        async with AsyncExitStack() as lost:
            await opened(folder, 1, 2, services[1], lost)
            theirs = [
                number for number in range(1, 40) if 1.0 in await ask([first], services[:1], step(number))
            ]
        with pytest.raises(GatewayError, match="begin the sequence anew") as caught:
            await first(step(theirs[0]), services[0])
        successor = ScriptedService(answer(value=2.0))
        await opened(folder, 1, 2, successor, lifetimes)
        again = await ask([first], services[:1], step(theirs[0], sequence_start=True))

    assert caught.value.fault is Fault.OVERLOADED
    assert again == {2.0}


async def test_where_no_state_is_lost_another_stands_in(folder):
    """Until the successor is there; but not for a step that may have gone on its way."""
    services = [ScriptedService(answer(value=0.0)), ScriptedService(HANG)]
    async with AsyncExitStack() as lifetimes:
        first = await opened(folder, 0, 2, services[0], lifetimes, stands_in=True)
        async with AsyncExitStack() as lost:
            await opened(folder, 1, 2, services[1], lost)
            number = 1
            while not services[1].running:
                sent = asyncio.create_task(first(step(number), services[0]))
                await asyncio.wait([sent], timeout=0.1)
                number += 1
        with pytest.raises(GatewayError, match="begin the sequence anew"):
            await sent
        meanwhile = await ask([first], services[:1], step(number - 1))
        await opened(folder, 1, 2, ScriptedService(answer(value=2.0)), lifetimes)
        later = await ask([first], services[:1], step(number - 1))

    assert (meanwhile, later) == ({0.0}, {2.0})


async def test_nobody_stands_in_for_a_worker_that_could_not_send_it(folder):
    """It knows where the sequence is; the one that was asked would begin it elsewhere."""
    refused = GatewayError(Fault.UNAVAILABLE, "refused", retryable=True, unsent=True)
    services = [ScriptedService(answer(value=0.0)), ScriptedService(refused)]
    async with AsyncExitStack() as lifetimes:
        owners = [
            await opened(folder, slot, 2, services[slot], lifetimes, stands_in=True) for slot in range(2)
        ]
        for number in range(1, 40):
            if not services[1].requests:
                with contextlib.suppress(GatewayError):
                    await owners[0](step(number), services[0])
        mine = len(services[0].requests)
        with pytest.raises(GatewayError, match="refused"):
            await owners[0](services[1].requests[0], services[0])

    assert len(services[0].requests) == mine


async def test_a_worker_whose_slot_was_taken_over_sends_its_steps_on(folder):
    """Its connections are still open, and its clients' steps find the successor's state."""
    old, new = ScriptedService(answer(value=0.0)), ScriptedService(answer(value=9.0))
    async with AsyncExitStack() as lifetimes:
        before = await opened(folder, 0, 2, old, lifetimes)
        own = [number for number in range(1, 20) if await _is_own(before, old, number)]
        await opened(folder, 0, 2, new, lifetimes)

        found = await ask([before], [old], step(own[0]))

    assert found == {9.0}


async def _is_own(owner: SequenceOwner, service: ScriptedService, number: int) -> bool:
    try:
        await owner(step(number), service)
    except GatewayError:
        return False
    return True


async def test_one_worker_owns_everything(folder):
    """There is nothing to hand on; nor is there where the parent is older than this program."""
    async with AsyncExitStack() as lifetimes:
        alone = await opened(folder, 0, 1, ScriptedService(), lifetimes)
        unknown = await opened(folder, 0, 0, ScriptedService(), lifetimes)
        none = make_sequence_owner(None, ScriptedService(), lambda _: True)

    assert (alone, unknown, none) == (None, None, None)
    assert not list(folder.iterdir())
