"""Orders to load: one after the other for one model, at the same time for several, and never for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge_models.loads import AT_ONCE, MOST_LEFT, MOST_WAITING, Loads
from gateway.core.errors import Fault, GatewayError

LIMIT_S = 30


async def test_orders_for_one_model_wait_for_each_other():
    """And not for those for another; what was cancelled while it waited leaves nothing behind."""
    loads, log, leave = Loads(), [], asyncio.Event()

    async def order(model: str) -> None:
        async with loads.turn(model):
            log.append(model)
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        first = [group.create_task(order("a")) for _ in range(3)]
        group.create_task(order("b"))
        await asyncio.sleep(0.01)
        assert log == ["a", "b"]
        assert repr(loads) == "<Loads 4 orders for 2 models, 0 left behind>"
        first[1].cancel()
        leave.set()

    assert log == ["a", "b", "a"]
    assert repr(loads) == "<Loads 0 orders for 0 models, 0 left behind>"


async def test_so_many_orders_may_wait():
    """One more is refused at once."""
    loads, leave = Loads(), asyncio.Event()

    async def order() -> None:
        async with loads.turn("a"):
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(MOST_WAITING):
            group.create_task(order())
        await asyncio.sleep(0.01)
        with pytest.raises(GatewayError) as refused:
            await order()
        leave.set()

    assert refused.value.fault is Fault.OVERLOADED


async def test_so_many_are_loaded_at_once():
    """The others wait for a place."""
    loads, leave, running = Loads(), threading.Event(), []

    def load() -> int:
        running.append(1)
        leave.wait(LIMIT_S)
        return len(running)

    tasks = [asyncio.create_task(loads.run(load, LIMIT_S)) for _ in range(AT_ONCE + 2)]
    while len(running) < AT_ONCE:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert len(running) == AT_ONCE

    leave.set()
    assert max(await asyncio.gather(*tasks)) == AT_ONCE + 2


async def test_a_load_that_does_not_end():
    """Its order does, or is cancelled; its place is another's, its late error is nobody's; so many, and no more."""
    loads, leave = Loads(), threading.Event()

    def load() -> None:
        leave.wait(LIMIT_S)
        raise ValueError

    for _ in range(MOST_LEFT - 1):
        with pytest.raises(TimeoutError):
            await loads.run(load, 0.01)
    left = asyncio.create_task(loads.run(load, LIMIT_S))
    await asyncio.sleep(0.01)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    with pytest.raises(GatewayError, match="restart this process"):
        await loads.run(load, LIMIT_S)

    leave.set()
    while "0 left behind" not in repr(loads):
        await asyncio.sleep(0.01)
    assert await loads.run(lambda: 7, LIMIT_S) == 7


async def test_errors_are_those_of_the_work():
    """As if it had been called."""
    with pytest.raises(ZeroDivisionError):
        await Loads().run(lambda: 1 // 0, LIMIT_S)


async def test_when_no_order_is_left():
    """Whoever waits for that goes on at once when there is none, and after the last of those that came."""
    loads, leave = Loads(), asyncio.Event()
    await loads.idle()

    async def order(model: str) -> None:
        async with loads.turn(model):
            await leave.wait()

    orders = [asyncio.create_task(order(model)) for model in "aab"]
    await asyncio.sleep(0)
    idle = asyncio.create_task(loads.idle())
    await asyncio.sleep(0.01)
    assert not idle.done()
    leave.set()
    await idle

    await asyncio.gather(*orders)
