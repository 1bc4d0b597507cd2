"""One look for all watchers."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.listeners.oip.grpc.health_ticker import (
    HEALTH_PAUSE_S,
    REPEAT_LOOKS,
    HealthTicker,
    Watcher,
)
from tests.fakes.exchange import in_pieces
from tests.fakes.virtual_time import virtual_time


class Health:
    """A health that the test owns. ``looks``: how often it was looked at."""

    def __init__(self) -> None:
        self.now, self.looks = 1, 0

    def look(self) -> int:
        self.looks += 1
        return self.now


def ticker(health: Health, most: int = 10_000, most_per_address: int = 10_000) -> HealthTicker:
    return HealthTicker(health.look, most=most, most_per_address=most_per_address)


class Watching:
    """Tasks that watch; ``woken``: how often any of them was."""

    def __init__(self, shared: HealthTicker) -> None:
        self._ticker, self._tasks = shared, set[asyncio.Task[None]]()
        self.woken = 0

    async def start(self, count: int, address: str = "10.0.0.1", *, follows: bool = True) -> list[Watcher]:
        found: list[Watcher] = []
        for _ in range(count):
            self._tasks.add(asyncio.create_task(self._watch(found, address, follows=follows)))
        await asyncio.sleep(0)
        return found

    async def _watch(self, found: list[Watcher], address: str, *, follows: bool) -> None:
        with self._ticker.watcher(in_pieces(b""), address) as watcher:
            watcher.seen, watcher.follows = 1, follows
            found.append(watcher)
            while True:
                await watcher.news()
                self.woken += 1
                watcher.seen = 2

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@virtual_time
async def test_one_look_a_second_for_all() -> None:
    """A thousand watchers cost one look a second, and none of them is woken up while nothing changes."""
    health = Health()
    shared = ticker(health)
    watching = Watching(shared)
    await watching.start(1000)

    await asyncio.sleep(10.5 * HEALTH_PAUSE_S)
    assert (health.looks, watching.woken) == (10, 0)
    assert len(asyncio.all_tasks()) == 1000 + 1

    health.now = 2
    await asyncio.sleep(5 * HEALTH_PAUSE_S)
    assert watching.woken == 1000
    await watching.stop()


@virtual_time
async def test_nobody_watches() -> None:
    """Then nothing ticks, before, between and after."""
    health = Health()
    shared = ticker(health)
    for _ in range(2):
        await asyncio.sleep(5 * HEALTH_PAUSE_S)
        assert len(asyncio.all_tasks()) == 1
        before = health.looks
        watching = Watching(shared)
        await watching.start(3)
        await asyncio.sleep(2.5 * HEALTH_PAUSE_S)
        assert health.looks == before + 2
        await watching.stop()
        assert repr(shared) == "<HealthTicker of 0 watchers>"


@virtual_time
async def test_health_that_cannot_change_wakes_nobody() -> None:
    """That of a service that there is not."""
    health = Health()
    watching = Watching(ticker(health))
    await watching.start(2, follows=False)
    health.now = 2

    await asyncio.sleep(5 * HEALTH_PAUSE_S)

    assert watching.woken == 0
    await watching.stop()


@virtual_time
async def test_connection_that_leaves_is_news() -> None:
    """Its watcher ends it."""
    stream = in_pieces(b"")
    with ticker(Health()).watcher(stream, "") as watcher:
        watcher.seen = 1
        waiting = asyncio.create_task(watcher.news())
        await asyncio.sleep(3 * HEALTH_PAUSE_S)
        assert not waiting.done()
        stream.leaves = True
        await waiting


@pytest.mark.parametrize(
    ("addresses", "taken"),
    [
        (["10.0.0.1"] * 5, 3),
        (["10.0.0.1"] * 5 + ["10.0.0.2"], 4),
        ([f"2001:db8::{number:x}" for number in range(9)], 3),
        ([f"2001:db8:0:{number:x}::1" for number in range(9)], 5),
        ([""] * 5, 3),
    ],
)
async def test_too_many_are_refused(addresses: list[str], taken: int) -> None:
    """Three of an address or network, and five of all; what leaves makes room."""
    shared = ticker(Health(), 5, 3)
    open_ones = []
    for address in addresses:
        one = shared.watcher(in_pieces(b""), address)
        try:
            one.__enter__()
        except GatewayError as error:
            assert error.fault is Fault.OVERLOADED
        else:
            open_ones.append(one)
    assert len(open_ones) == taken

    open_ones.pop(0).__exit__(None, None, None)
    with shared.watcher(in_pieces(b""), addresses[0]):
        assert repr(shared) == f"<HealthTicker of {taken} watchers>"
    for one in open_ones:
        one.__exit__(None, None, None)


@virtual_time
async def test_cancelled_watcher_leaves_nothing() -> None:
    """Also when it was just about to be woken up."""
    health = Health()
    shared = ticker(health)
    watching = Watching(shared)
    await watching.start(5)
    health.now = 2
    await asyncio.sleep(HEALTH_PAUSE_S)
    await watching.stop()

    assert repr(shared) == "<HealthTicker of 0 watchers>"
    assert len(asyncio.all_tasks()) == 1


@virtual_time
async def test_the_same_is_due_again_before_a_stream_counts_as_idle() -> None:
    """Also for a service that there is not; who has sent something is quiet anew."""
    watching = Watching(ticker(Health()))
    follower, other = *await watching.start(1), *await watching.start(1, follows=False)

    await asyncio.sleep((REPEAT_LOOKS - 0.5) * HEALTH_PAUSE_S)
    assert (watching.woken, follower.is_due, other.is_due) == (0, False, False)

    await asyncio.sleep(HEALTH_PAUSE_S)
    assert (watching.woken, follower.is_due, other.is_due) == (2, True, True)
    await watching.stop()
