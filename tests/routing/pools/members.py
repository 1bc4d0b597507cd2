"""Members as choosers see them, and a pool under a load, in time that a test owns."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

import msgspec

from routing.pools.ewma import AttemptEnd, MemberLoad
from routing.pools.picking import Picker


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Still(msgspec.Struct, eq=False):
    """A member whose values are what a test says."""

    name: str
    weight: float = 1.0
    zone: str = ""
    warmth: float = 1.0
    active: int = 0
    cost: float = 1.0

    def passed_over(self) -> None:
        """Nothing fades here."""


def stills(count: int, **values: float) -> tuple[Still, ...]:
    return tuple(Still(f"10.0.0.{number}:8001", **values) for number in range(count))


def anyone(_: object) -> bool:
    return True


def counted(picks: Iterable[Still | MemberLoad | None]) -> Counter[str]:
    return Counter(pick.name for pick in picks if pick is not None)


def keys(count: int) -> list[bytes]:
    return [b"key %d" % number for number in range(count)]


def under_load(
    picker: Picker,
    members: tuple[MemberLoad, ...],
    clock: Hand,
    *,
    latency_s: Callable[[MemberLoad, float], float],
    rps: float,
    seconds: float,
    since: float = 0.0,
    seed: int = 1,
) -> Counter[str]:
    """Send an open load, and return who got how much after ``since`` seconds."""
    chance = Random(seed)
    begin = clock.now
    ends: list[tuple[float, int, MemberLoad, float]] = []
    found: Counter[str] = Counter()
    number = 0
    at = begin
    while at < begin + seconds:
        at += chance.expovariate(rps)
        while ends and ends[0][0] <= at:
            clock.now, _, member, started = heapq.heappop(ends)
            member.ended(started, AttemptEnd.ANSWERED)
        clock.now = at
        member = picker.pick(members, anyone, None)
        assert member is not None
        number += 1
        heapq.heappush(ends, (at + latency_s(member, at - begin), number, member, member.started()))
        if at - begin >= since:
            found[member.name] += 1
    while ends:
        clock.now, _, member, started = heapq.heappop(ends)
        member.ended(started, AttemptEnd.ANSWERED)
    return found
