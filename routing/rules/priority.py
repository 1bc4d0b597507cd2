"""How much of the load each priority level gets, as Envoy divides it. Pure.

A level that is well enough gets everything. One that is not gives what it cannot carry to the next.
"""

from __future__ import annotations

from collections.abc import Sequence

WHOLE = 100


def level_health(well: int, total: int, overprovisioning_factor: int) -> int:
    """Return the percent of its load that a level can carry, 0 to 100."""
    return min(WHOLE, overprovisioning_factor * well // total) if total else 0


def priority_loads(levels: Sequence[tuple[int, int]], overprovisioning_factor: int = 140) -> tuple[int, ...]:
    """Return the percent of the requests that each level gets; all 0: nothing is well anywhere.

    Args:
        levels: of each level, the first preferred: members that are well, and members.
        overprovisioning_factor: percent of its part that a member can carry.
    """
    health = [level_health(well, total, overprovisioning_factor) for well, total in levels]
    available = min(WHOLE, sum(health))
    if not available:
        return (0,) * len(health)
    loads, left = [], WHOLE
    for each in health:
        # Where all levels together cannot carry everything, each gets its part of what they can.
        load = min(left, each * WHOLE // available)
        loads.append(load)
        left -= load
    if left:
        first = next(number for number, each in enumerate(health) if each)
        loads[first] += left
    return tuple(loads)


def is_panic(well: int, total: int, threshold_percent: float) -> bool:
    """Whether so few of all members are well that those which are out by comparison had better be used."""
    return bool(total) and WHOLE * well < threshold_percent * total
