"""Case `geo`: what it costs to look up where a client is, in the databases of MaxMind's tests."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Final

import maxminddb
import numpy as np

from loadtests.bench.results import Result, Row, Target, spreads
from loadtests.bench.rounds import Bench, cores
from routing.geo import Places
from routing.geo_records import nested_place
from routing.place import Place

FILES: Final = Path(__file__).parents[2] / "tests" / "data" / "geo"
CACHED: Final = Target(1.0, at_least=False)
UNCACHED: Final = {
    "GeoIP2-Country-Test": Target(6.0, at_least=False),
    "GeoIP2-City-Test": Target(12.0, at_least=False),
}
OTHERS: Final = ("GeoLite2-ASN-Test", "country-ipv4-cc0")
BATCHES: Final = 100
LOOKUPS: Final = 100
"""Of a batch. A clock is read around each batch."""

READER: Final = "C" if importlib.util.find_spec("maxminddb.extension") else "Python"
NOTE: Final = f"addresses not seen before, of records that may have been; maxminddb's reader in {READER}"


def measure(bench: Bench) -> Result:
    """Time look-ups of addresses that the database has, pinned to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        rows, others = [], {}
        for name, target in UNCACHED.items():
            times = [_uncached(name) for _ in range(bench.effort.rounds)]
            rows.append(Row.alone(f"geo, uncached, {name}, p50", "µs", target, times, NOTE))
            others[f"the reader alone, {name}"] = [_reader(name) for _ in range(bench.effort.rounds)]
            others[f"first of a record, {name}"] = [_first(name) for _ in range(bench.effort.rounds)]
        name = next(iter(UNCACHED))
        times = [_cached(name) for _ in range(bench.effort.rounds)]
        rows.append(Row.alone("geo, cached, p50", "µs", CACHED, times))
        for name in OTHERS:
            others[f"uncached, {name}"] = [_uncached(name) for _ in range(bench.effort.rounds)]
    finally:
        os.sched_setaffinity(0, before)
    return Result(rows=tuple(rows), details={"uncached_us": spreads(others), "lookups": BATCHES * LOOKUPS})


def _uncached(name: str) -> float:
    return _median(Places.open(_path(name)).find, _addresses(name))


def _cached(name: str) -> float:
    addresses = _addresses(name)[:LOOKUPS]
    return _median(Places.open(_path(name)).locate, addresses * BATCHES)


def _reader(name: str) -> float:
    with maxminddb.open_database(_path(name)) as database:
        return _median(database.get, _addresses(name))


def _first(name: str) -> float:
    """Return what a look-up takes whose record was never read: nothing of it is remembered."""
    with maxminddb.open_database(_path(name)) as database:

        def look_up(address: str) -> Place | None:
            record = database.get(address)
            return nested_place(record) if isinstance(record, dict) else None

        return _median(look_up, _addresses(name))


def _path(name: str) -> Path:
    return FILES / f"{name}.mmdb"


def _addresses(name: str) -> list[str]:
    """Return addresses of the IPv4 networks of a file, as many as are looked up."""
    chance = Random(1)  # noqa: S311 - not secrets
    networks = []
    with maxminddb.open_database(_path(name)) as database:
        for network, _ in database:
            if network.version == 4 or int(network.network_address) >> 32 == 0:
                networks.append((int(network.network_address), network.num_addresses))
            if len(networks) == BATCHES * LOOKUPS:
                break
    chosen = (chance.choice(networks) for _ in range(BATCHES * LOOKUPS))
    return [str(IPv4Address(first + chance.randrange(size))) for first, size in chosen]


def _median(look_up: Callable[[str], object], addresses: list[str]) -> float:
    """Return µs per look-up, the median of batches."""
    batches = []
    for start in range(0, len(addresses), LOOKUPS):
        batch = addresses[start : start + LOOKUPS]
        began = time.perf_counter_ns()
        for address in batch:
            look_up(address)
        batches.append((time.perf_counter_ns() - began) / 1000 / LOOKUPS)
    return float(np.percentile(batches, 50))
