"""Case `picking`: what it costs to choose a member of a pool by its health and by what it has under way."""

from __future__ import annotations

import os
import time
from random import Random
from typing import Final

import numpy as np

from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores
from routing.endpoint import LoadBalancing
from routing.pools.choosing import chooser
from routing.pools.ewma import AttemptEnd, MemberLoad

TARGET: Final = Target(2.0, at_least=False)
MEMBERS: Final = (8, 50)
OTHERS: Final = ("round_robin", "random", "ring_hash", "maglev")
BATCHES: Final = 400
PICKS: Final = 100
"""Of a batch. A clock is read around each batch: around each pick it would be half of what it measures."""


def measure(bench: Bench) -> Result:
    """Time least_request, and beside it what the other policies take, pinned to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        rows, others = [], {}
        for count in MEMBERS:
            times = [_median(LoadBalancing(), count) for _ in range(bench.effort.rounds)]
            rows.append(Row.alone(f"picking one of {count} members, least_request, p50", "µs", TARGET, times))
            for policy in OTHERS:
                balancing = LoadBalancing(policy=policy)
                others[f"{policy} of {count}"] = [
                    _median(balancing, count) for _ in range(bench.effort.rounds)
                ]
    finally:
        os.sched_setaffinity(0, before)
    return Result(rows=tuple(rows), details={"picks_us": spreads(others), "picks": BATCHES * PICKS})


def _median(balancing: LoadBalancing, count: int) -> float:
    """Return µs per pick, the median of batches; each member has answered, and has two requests under way."""
    members = tuple(MemberLoad(f"10.0.0.{number}:8001", time.perf_counter) for number in range(count))
    for member in members:
        member.ended(member.started(), AttemptEnd.ANSWERED)
        member.started()
        member.started()
    picker = chooser(balancing, Random(1))  # noqa: S311 - not secrets
    out: frozenset[str] = frozenset()

    def is_usable(member: MemberLoad) -> bool:
        return member.name not in out

    keys = [b"key %d" % number for number in range(PICKS)]
    batches = []
    for _ in range(BATCHES):
        began = time.perf_counter_ns()
        for key in keys:
            picker.pick(members, is_usable, key)
        batches.append((time.perf_counter_ns() - began) / 1000 / PICKS)
    return float(np.percentile(batches, 50))
