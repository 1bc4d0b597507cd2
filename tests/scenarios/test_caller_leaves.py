"""A caller who leaves in the middle harms nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.scenarios.world import UNSURE, World


async def test_leavers_do_not_disturb_those_who_stay(tmp_path: Path) -> None:
    """Half of the callers of one picture leave at random moments; the others get the same answer."""
    async with World(tmp_path) as world:
        for round_ in range(5):
            calls = [asyncio.ensure_future(world.ask(UNSURE + round_)) for _ in range(16)]
            await asyncio.sleep(0.0005 * round_)
            for call in calls[::2]:
                call.cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)

            answers = [result for result in results if not isinstance(result, BaseException)]
            assert len(answers) >= 8
            assert all(answer.outputs == answers[0].outputs for answer in answers)

        assert world.metric('edgeway_breaker_state{endpoint="central"}') == 0
        assert repr(world.edge.drain) == "<Drain ready, 0 running>"


async def test_everybody_leaves(tmp_path: Path) -> None:
    """When nobody waits any more the work is dropped, and the next caller starts afresh."""
    async with World(tmp_path) as world:
        calls = [asyncio.ensure_future(world.ask(UNSURE)) for _ in range(4)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        for call in calls:
            with pytest.raises(asyncio.CancelledError):
                await call

        assert (await world.ask(UNSURE)).provenance.certified
