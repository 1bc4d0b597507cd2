"""Who has sent much goes on in later turns of the loop, and others come between."""

from __future__ import annotations

import asyncio
import itertools

from gateway.http.server.turn_queue import TURN_S, TurnQueue


class Steps:
    """Has so many portions; each takes ``takes_s`` of the clock."""

    def __init__(self, name: str, portions: int, done: list[str], *, fails: bool = False) -> None:
        self.name, self.portions, self.done, self.fails = name, portions, done, fails
        self.untils: list[float] = []
        self.is_aborted = False

    def work(self, until: float) -> bool:
        self.untils.append(until)
        self.done.append(self.name)
        self.portions -= 1
        if self.fails and len(self.untils) > 1:
            raise RuntimeError("broken")
        return self.portions > 0

    def abort(self) -> None:
        self.is_aborted = True


async def test_one_that_has_little_is_done_at_once():
    done: list[str] = []
    turns = TurnQueue(asyncio.get_running_loop(), lambda: 5.0)
    one = Steps("one", 1, done)
    turns.begin(one)
    assert one.untils == [5.0 + TURN_S]
    assert repr(turns) == "<TurnQueue, 0 waiting>"


async def test_each_turn_is_one_connections():
    """Whoever comes while others wait begins with one portion, and then waits as they do."""
    done: list[str] = []
    loop, count = asyncio.get_running_loop(), itertools.count()
    turns = TurnQueue(loop, lambda: float(next(count)))
    one, two = Steps("one", 4, done), Steps("two", 3, done)
    turns.begin(one)
    turns.begin(two)
    assert (one.untils, two.untils) == ([TURN_S], [1.0])
    while "<TurnQueue, 0 waiting>" != repr(turns):
        before = len(done)
        await asyncio.sleep(0)
        assert len(done) <= before + 1
    assert done == ["one", "two", "one", "two", "one", "two", "one"]


async def test_one_that_fails_is_ended_and_others_go_on():
    done: list[str] = []
    turns = TurnQueue(asyncio.get_running_loop(), lambda: 0.0)
    broken, other = Steps("broken", 9, done, fails=True), Steps("other", 3, done)
    turns.begin(broken)
    turns.begin(other)
    while other.portions:
        await asyncio.sleep(0)
    assert broken.is_aborted
    assert done == ["broken", "other", "broken", "other", "other"]
