"""Members are closed once no request can be cut by it."""

from __future__ import annotations

import asyncio

from gateway.app.pools.retirement import Retirement
from tests.fakes.clock import VirtualClock
from tests.fakes.service import HANG
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, text


@virtual_time
async def test_a_member_is_closed_when_its_last_call_has_ended() -> None:
    """Not before, however long that takes."""
    scene = Scene()
    pool = scene.enforce(text("10.0.0.1:80", more="attempt_timeout_ms: 60000"))
    scene.members["10.0.0.1:80"].steps = [HANG]
    asking = asyncio.create_task(scene.ask())
    await asyncio.sleep(0.1)
    retirement = Retirement(VirtualClock())

    retirement.when_idle(pool.members[0])
    await asyncio.sleep(9)
    assert (len(retirement), scene.members.closed) == (1, [])
    scene.members["10.0.0.1:80"].release()
    await asking
    await asyncio.sleep(1)

    assert (len(retirement), scene.members.closed) == (0, ["10.0.0.1:80"])
    await scene.aclose()


@virtual_time
async def test_after_its_grace_a_member_is_closed() -> None:
    """Closing the retirement closes the others at once, those among them that have just begun."""
    scene = Scene()
    pool = scene.enforce(text("10.0.0.1:80", "10.0.0.2:80"))
    retirement = Retirement(VirtualClock())
    retirement.after(pool.members[0], 10.0)
    await asyncio.sleep(9)
    assert scene.members.closed == []
    await asyncio.sleep(2)
    assert scene.members.closed == ["10.0.0.1:80"]
    assert repr(retirement) == "<Retirement of 0>"

    retirement.after(pool.members[1], 3600.0)
    await retirement.aclose()

    assert scene.members.closed == ["10.0.0.1:80", "10.0.0.2:80"]
    await scene.aclose()
