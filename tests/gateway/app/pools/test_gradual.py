"""Many small things, a few in each turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.app.pools.gradual import AT_ONCE, Gradual


def steps(done: list[int], count: int) -> Iterator[None]:
    """Take ``count`` steps."""
    for number in range(count):
        done.append(number)
        yield


async def test_a_few_in_each_turn() -> None:
    """The first at once."""
    done: list[int] = []
    gradual = Gradual()
    gradual.begin(steps(done, 2 * AT_ONCE + 1))
    seen = [len(done)]
    for _ in range(4):
        await asyncio.sleep(0)
        seen.append(len(done))

    assert seen == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1, 2 * AT_ONCE + 1, 2 * AT_ONCE + 1]
    assert repr(gradual) == "<Gradual, idle>"


async def test_what_is_left_is_done_before_something_else() -> None:
    """In order, and once."""
    one, other = [], []
    gradual = Gradual()
    gradual.begin(steps(one, 5 * AT_ONCE))
    assert repr(gradual) == "<Gradual, at work>"
    gradual.begin(steps(other, 5 * AT_ONCE))
    assert (len(one), len(other)) == (5 * AT_ONCE, AT_ONCE)
    gradual.finish()
    gradual.finish()
    await asyncio.sleep(0)

    assert one == other == [*range(5 * AT_ONCE)]
