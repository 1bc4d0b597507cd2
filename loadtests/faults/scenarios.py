"""The faults: what happens, to which members, and how they are laid out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.faults.faulty_member import Fault, FaultyMember
from loadtests.faults.scene import Scene
from loadtests.faults.subjects import NAME, Layout

_FAULT_S: Final = 8.0
_SLOW_S: Final = 0.05
"""Ten times and more what an answer takes otherwise."""


@dataclass(frozen=True)
class Scenario:
    """``faulty``: members whose share is told. ``all_down``: nobody can answer, so failures are right.

    ``after_s``: what is watched after the fault is the point of it.
    """

    name: str
    act: Callable[[Scene], Awaitable[None]]
    layout: Callable[[Sequence[FaultyMember]], Layout]
    faulty: tuple[int, ...] = (0,)
    all_down: bool = False
    after_s: float = 0.0


def _pool(members: Sequence[FaultyMember]) -> Layout:
    return Layout([[member.address for member in members]])


def _regions(members: Sequence[FaultyMember]) -> Layout:
    near, far = members[:2], members[2:]
    return Layout([[member.address for member in near], [member.address for member in far]])


def _named(members: Sequence[FaultyMember]) -> Layout:
    return Layout([[f"{NAME}:{members[0].port}"]])


def _slowly(members: Sequence[FaultyMember]) -> Layout:
    return Layout([[member.address for member in members]], slow_start_s=6.0)


async def _lose_region(scene: Scene) -> None:
    await scene.down(0, 1, kill=True)
    await asyncio.sleep(_FAULT_S)


def _with(fault: Fault) -> Callable[[Scene], Awaitable[None]]:
    async def act(scene: Scene) -> None:
        scene.members[0].fault, scene.members[0].delay_s = fault, _SLOW_S
        await asyncio.sleep(_FAULT_S)
        scene.members[0].fault = Fault.NONE

    return act


async def _flap(scene: Scene) -> None:
    for _ in range(int(_FAULT_S)):
        await scene.down(0)
        await asyncio.sleep(0.5)
        await scene.up(0)
        await asyncio.sleep(0.5)


async def _lose_all(scene: Scene) -> None:
    await scene.down(0, 1, 2)
    await asyncio.sleep(4.0)
    await scene.up(0, 1, 2)


async def _recover(scene: Scene) -> None:
    await scene.down(0)
    await asyncio.sleep(4.0)
    await scene.up(0)


async def _move(scene: Scene) -> None:
    """The name has two addresses, then the second and a third; the first serves until all have noticed."""
    scene.name("127.0.0.2", "127.0.0.3")
    await asyncio.sleep(_FAULT_S)


SCENARIOS: Final = {
    "region": Scenario("region lost (2 members), another takes over", _lose_region, _regions, (0, 1)),
    "slow": Scenario("one of three 50 ms slower (10 x and more)", _with(Fault.SLOW), _pool),
    "flapping": Scenario("one of three down and up at 1 Hz", _flap, _pool),
    "one-way": Scenario("answers of one of three are lost", _with(Fault.MUTE), _pool),
    "all-down": Scenario("all three down for 4 s", _lose_all, _pool, (0, 1, 2), all_down=True),
    "recovery": Scenario("one of three down for 4 s, slow start 6 s", _recover, _slowly, after_s=9.0),
    "name": Scenario("a name loses an address and gets another", _move, _named),
    "storm": Scenario("one of three answers 503", _with(Fault.STORM), _pool),
}
