"""The queues of scopes: turns, counts by level, what is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from edge_models.scope_queues import KEPT_IDLE, ScopeQueues
from tests.fakes.virtual_time import virtual_time


@dataclass(slots=True, eq=False)
class Waiter:
    """A request that waits."""

    scope: str
    level: int = 0
    arrived: float = 0.0
    delayed: bool = False


def filled(*waiters: Waiter, ordered: bool = False) -> ScopeQueues[Waiter]:
    queues: ScopeQueues[Waiter] = ScopeQueues(ordered=ordered)
    for waiter in waiters:
        queues.append(queues.of(waiter.scope), waiter)
    return queues


def turns(queues: ScopeQueues[Waiter], most: int = 1) -> list[str]:
    """Whose batches of at most ``most`` are taken, until nobody waits."""
    found: list[str] = []
    while (queue := queues.candidate()) is not None:
        found += {waiter.scope for waiter in queues.take(queue, min(most, len(queue.waiting)))}
    return found


def test_scopes_take_turns():
    """A batch each, in the order in which they came; a flood is behind whoever has had fewer."""
    flood = [Waiter("a") for _ in range(5)]

    assert turns(filled(*flood, Waiter("b"), Waiter("c"), Waiter("b"))) == list("abcabaaa")


def test_a_turn_is_a_batch_whatever_its_size():
    """One that has much gains nothing by small batches."""
    assert turns(filled(*[Waiter(scope) for scope in "aaaabbbb"]), most=2) == list("abab")


def test_a_newcomer_waits_for_one_batch_of_each_other():
    """It comes in behind those that wait, and before their next batches."""
    queues = filled(*[Waiter(scope) for scope in "aaabbb"])
    first = queues.candidate()
    assert first is not None
    queues.take(first, 1)
    queues.append(queues.of("c"), Waiter("c"))

    assert turns(queues) == list("bacbab")


def test_what_rests_is_no_candidate_until_something_happens():
    """A request that comes, or one that leaves."""
    stays, leaves = Waiter("a"), Waiter("a")
    queues = filled(stays, leaves)
    queue = queues.of("a")

    queues.rest(queue)
    assert queues.candidate() is None
    queues.remove(queue, leaves)
    assert queues.candidate() is queue
    queues.rest(queue)
    queues.append(queue, Waiter("a"))
    assert queues.candidate() is queue
    queues.take(queue, 2)
    queues.wake(queue)
    assert queues.candidate() is None


def test_counts_are_over_all_scopes():
    """By level; a level is forgotten with its last request."""
    urgent = Waiter("b", level=1)
    queues = filled(Waiter("a", level=2), urgent, Waiter("b", level=2), Waiter("b", level=2))

    assert (len(queues), queues.count(1), queues.count(2), queues.count(3)) == (4, 1, 3, 0)
    assert queues.longest(2).scope == "b"
    queues.remove(queues.of("b"), urgent)
    assert (len(queues), queues.count(1), queues.count(2)) == (3, 0, 3)
    assert [queue.scope for queue in queues.all()] == ["a", "b"]


def test_thousands_of_scopes_are_forgotten():
    """But for a few, and for those where something waits or runs."""
    queues: ScopeQueues[Waiter] = ScopeQueues()
    running, waiting = queues.of("runs"), queues.of("waits")
    running.running = 1
    queues.append(waiting, Waiter("waits"))
    for number in range(10_000):
        waiter = Waiter(str(number))
        queue = queues.of(waiter.scope)
        queues.append(queue, waiter)
        queues.remove(queue, waiter)
        queues.forget_if_idle(queue)
        queues.forget_if_idle(running)
        queues.forget_if_idle(waiting)

    assert queues.num_scopes == KEPT_IDLE
    assert queues.find("runs") is running
    assert queues.find("waits") is waiting
    assert queues.find("9999") is None
    assert repr(queues) == f"<ScopeQueues 1 queued, {KEPT_IDLE} scopes>"


def test_answers_are_in_order_within_a_scope():
    """Each has an order of its own, where the model has one at all."""
    ordered = filled(Waiter("a"), Waiter("b"), ordered=True)

    assert ordered.of("a").order is not ordered.of("b").order is not None
    assert filled(Waiter("a")).of("a").order is None
    assert repr(ordered.of("a")) == "<ScopeQueue 'a' <WaitingRequests 1 at 0>, 0 running>"


@virtual_time
async def test_a_queue_has_one_timer():
    """The next takes the place of the one before; it ends with the request that it is for."""
    loop, fired = asyncio.get_running_loop(), []
    queues = filled(one := Waiter("a"), two := Waiter("a"))
    queue = queues.of("a")

    queue.watch(one, loop.call_later(1, fired.append, 1))
    queue.watch(two, loop.call_later(1, fired.append, 2))
    assert queue.timed is two
    queues.remove(queue, one)
    await asyncio.sleep(1.5)
    assert fired == [2]

    queue.watch(two, loop.call_later(1, fired.append, 3))
    queues.remove(queue, two)
    await asyncio.sleep(1.5)
    assert fired == [2]
    assert queue.timed is None
