"""Names are looked up again and again; what was found last holds while nothing is found."""

from __future__ import annotations

import asyncio

import pytest

from gateway.app.pools.listing import Name
from gateway.app.pools.resolution import Resolution, look_up
from tests.fakes.clock import VirtualClock
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Resolver

A, B = Name("a.test", 80), Name("b.test", 80)


class Watched:
    def __init__(self, resolver: Resolver, *names: Name, known=None, refresh_s: float = 5.0) -> None:
        self.changes = 0
        self.resolution = Resolution(
            names,
            known or {},
            self.change,
            refresh_s=refresh_s,
            timeout_s=2.0,
            clock=VirtualClock(),
            look_up=resolver,
        )

    def change(self) -> None:
        self.changes += 1


@virtual_time
async def test_a_name_is_looked_up_at_the_interval() -> None:
    """Once at the start and then every five seconds; only another answer is a change, in whatever order."""
    resolver = Resolver(**{"a.test": ["10.0.0.1", "10.0.0.2"]})
    watched = Watched(resolver, A)
    watched.resolution.start()
    await asyncio.sleep(0.1)
    assert (resolver.asked, watched.changes) == (1, 1)

    resolver.answers["a.test"] = ["10.0.0.2", "10.0.0.1", "10.0.0.2"]
    await asyncio.sleep(10)

    assert (resolver.asked, watched.changes) == (3, 1)
    resolver.answers["a.test"] = ["10.0.0.3"]
    await asyncio.sleep(5)
    assert watched.changes == 2
    assert watched.resolution.known == {A: ("10.0.0.3",)}
    await watched.resolution.aclose()


@virtual_time
async def test_a_name_that_is_not_known_is_asked_for_every_second() -> None:
    """The other name's members are there meanwhile."""
    resolver = Resolver(**{"b.test": ["10.0.0.1"]})
    watched = Watched(resolver, A, B)
    watched.resolution.start()
    await asyncio.sleep(3.5)

    assert resolver.asked == 8
    assert watched.resolution.problem == "its name is not known"
    resolver.answers["a.test"] = ["10.0.0.2"]
    await asyncio.sleep(1)
    assert watched.resolution.problem == ""
    assert watched.changes == 2
    await watched.resolution.aclose()


@virtual_time
async def test_hurries_are_no_more_than_one_a_second() -> None:
    """However often a member fails, and however many do."""
    resolver = Resolver(**{"a.test": ["10.0.0.1"]})
    watched = Watched(resolver, A, refresh_s=60.0)
    watched.resolution.start()
    for _ in range(100):
        watched.resolution.hurry()
        await asyncio.sleep(0.1)

    assert 9 <= resolver.asked <= 11
    await watched.resolution.aclose()


@virtual_time
async def test_a_look_up_that_hangs_is_not_begun_twice() -> None:
    """Who waits for the first gives up in time; the look-up goes on."""
    resolver = Resolver(**{"a.test": ["10.0.0.1"]})
    resolver.delay_s = 30.0
    watched = Watched(resolver, A)
    watched.resolution.start()

    await asyncio.gather(*(watched.resolution.first() for _ in range(5)))

    assert asyncio.get_running_loop().time() == 1002.0
    assert watched.resolution.problem == "looking up its name takes too long"
    await asyncio.sleep(29)
    assert (resolver.asked, watched.resolution.problem, watched.changes) == (1, "", 1)
    await watched.resolution.aclose()


@virtual_time
async def test_closing_ends_the_look_ups() -> None:
    """Also one that is under way; nothing is left behind."""
    resolver = Resolver(**{"a.test": ["10.0.0.1"]})
    resolver.delay_s = 30.0
    watched = Watched(resolver, A)
    watched.resolution.start()
    await asyncio.sleep(0.1)

    await watched.resolution.aclose()

    assert watched.changes == 0


@virtual_time
async def test_without_names_nothing_is_looked_up() -> None:
    """Fixed addresses need no task."""
    resolver = Resolver()
    watched = Watched(resolver)
    watched.resolution.start()
    await watched.resolution.first()
    await watched.resolution.aclose()

    assert (resolver.asked, watched.changes) == (0, 0)


async def test_the_system_knows_the_loopback() -> None:
    """The resolver of the machine."""
    assert set(await look_up(Name("localhost", 80))) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("host", ["a..test", "x" * 70 + ".test"])
async def test_what_cannot_be_a_name_is_an_error_of_the_look_up(host: str) -> None:
    """No UnicodeError of the codec comes through."""
    with pytest.raises(OSError, match=r".+"):
        await look_up(Name(host, 80))


class Hanging:
    """Answers for every name but ``name``, which it never answers for."""

    def __init__(self, name: str) -> None:
        self.name, self.asked, self.address = name, list[str](), "10.0.0.1"

    async def __call__(self, name: Name) -> list[str]:
        self.asked.append(name.host)
        if name.host == self.name:
            await asyncio.Event().wait()
        return [self.address]


@virtual_time
async def test_a_name_that_hangs_holds_up_no_other() -> None:
    """Neither the first look-up of the others nor later ones; it is asked for once, until it answers."""
    hanging = Hanging("a.test")
    changes: list[object] = []
    resolution = Resolution(
        (A, B),
        {},
        lambda: changes.append(dict(resolution.known)),
        refresh_s=5.0,
        timeout_s=2.0,
        clock=VirtualClock(),
        look_up=hanging,
    )
    resolution.start()
    await resolution.first()
    assert changes == [{B: ("10.0.0.1",)}]
    assert resolution.problem == ""

    hanging.address = "10.0.0.2"
    await asyncio.sleep(5)
    assert changes[1:] == [{B: ("10.0.0.2",)}]
    assert hanging.asked.count("a.test") == 1
    await resolution.aclose()


@virtual_time
async def test_a_name_that_answers_late_is_taken_when_it_does() -> None:
    """While the other has long been in use."""
    late = Resolver(**{"a.test": ["10.0.0.1"], "b.test": ["10.0.0.2"]})
    late.delay_s = 3.0
    watched = Watched(late, A, B, known={B: ["10.0.0.2"]}, refresh_s=60.0)
    watched.resolution.start()
    await asyncio.sleep(2.9)
    assert watched.changes == 0
    await asyncio.sleep(0.2)
    assert watched.resolution.known[A] == ("10.0.0.1",)
    assert watched.changes == 1
    await watched.resolution.aclose()


@virtual_time
async def test_who_comes_after_a_failure_waits_for_the_look_up_that_follows() -> None:
    """What was found out before does not count for it."""
    resolver = Resolver()
    watched = Watched(resolver, A)
    await watched.resolution.first()
    assert watched.resolution.problem == "its name is not known"
    resolver.answers["a.test"], resolver.delay_s = ["10.0.0.1"], 0.2
    await watched.resolution.first()
    assert watched.resolution.known == {A: ("10.0.0.1",)}
    await watched.resolution.aclose()
