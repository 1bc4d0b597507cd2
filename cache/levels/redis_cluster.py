"""The nodes of a Redis Cluster, and which of them has which slot.

What is believed comes from ``CLUSTER NODES`` of any node, read anew at most once a second when something
shows that it is out of date: a slot has moved, a node cannot be reached, or its gate is shut. In between,
commands follow what nodes say (MOVED, ASK) within their own time. Each node has its own gate: one that is
lost costs the hits of its slots and of no others.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from cache.levels.redis_control import ask
from cache.levels.redis_options import RedisOptions
from cache.levels.redis_routes import RedisNode, RedisRoutes, RedisTarget
from cache.levels.replies import Kind, ProtocolError, ReplyError
from gateway.core.clock import Clock

SLOTS: Final = 16384
REFRESH_S: Final = 1.0
MOST_NODES: Final = 256
_MOST_PORT: Final = 65535
_MOVED: Final = frozenset({"MOVED", "ASK"})

Owned = tuple[str, int, list[tuple[int, int]]]
"""Host, port, and the ranges of slots of a master, both ends included."""


def slot_of(name: str) -> int:
    """Return the slot of a name, which has a hash tag or no brace."""
    start = name.find("{") + 1
    tag = name[start : name.find("}", start)] if start else name
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS


def masters_of(text: str, asked: str) -> Iterator[Owned]:
    """Read ``CLUSTER NODES``; a node that does not know its own address is where it was ``asked``.

    Raises:
        ProtocolError: it is no such text, or gives out more slots than there are.
    """
    slots = 0
    for number, line in enumerate(text.splitlines()):
        fields = line.split(" ")
        if number >= 4 * MOST_NODES or len(fields) < 8:
            raise ProtocolError("no list of nodes")
        address, _, hostname = fields[1].partition(",")
        flags = fields[2].split(",")
        if "master" not in flags or "noaddr" in flags:
            continue
        ranges = [_range(each) for each in fields[8:] if not each.startswith("[")]
        slots += sum(last - first + 1 for first, last in ranges)
        if slots > SLOTS:
            raise ProtocolError("more slots than there are")
        host, port = _address(address.partition("@")[0], asked)
        if ranges:
            yield hostname.partition(",")[0] if "=" not in hostname and hostname else host, port, ranges


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal() and len(text) < 12):
        raise ProtocolError("a slot that is none")
    ends = int(first), int(last or first)
    if not 0 <= ends[0] <= ends[1] < SLOTS:
        raise ProtocolError("a slot that is none")
    return ends


def _address(text: str, asked: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or len(port) > 5 or not 0 < int(port) <= _MOST_PORT:
        raise ProtocolError("an address that is none")
    return host.strip("[]") or asked, int(port)


class RedisCluster:
    """RedisRoutes to the nodes of a cluster, first known from ``seeds``; ``make`` makes a node."""

    most_hops = 3

    def __init__(
        self,
        seeds: tuple[RedisOptions, ...],
        make: Callable[[RedisOptions], RedisNode],
        *,
        timeout_s: float,
        clock: Clock,
    ) -> None:
        self._seeds = seeds
        self._make = make
        self._timeout_s = timeout_s
        self._clock = clock
        self._nodes: dict[tuple[str, int], RedisNode] = {}
        self._owners: list[RedisTarget | None] = [None] * SLOTS
        self._turn = 0
        self._refreshed_s = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<RedisCluster {len(self._nodes)} nodes, {SLOTS - self._owners.count(None)} slots>"

    def target(self, name: str) -> RedisTarget:
        """Return the node that has the slot of ``name``; while that is not known, one that knows it."""
        owner = self._owners[slot_of(name)]
        if owner is not None:
            return owner
        self.refresh()
        self._turn += 1
        seed = self._seeds[self._turn % len(self._seeds)]
        return RedisTarget(self._node(seed) or next(iter(self._nodes.values())))

    def onward(self, error: BaseException | None, met: RedisTarget, epoch: int) -> RedisTarget | None:  # noqa: ARG002
        """Return the node that ``met`` names. What went wrong has the cluster looked at again."""
        if not isinstance(error, ReplyError):
            self.refresh()
            return None
        if error.code not in _MOVED:
            if error.code in {"CLUSTERDOWN", "READONLY", "LOADING", "MASTERDOWN"}:
                self.refresh()
            return None
        try:
            _, slot_text, address = str(error).split(" ")
            host, port = _address(address, met.node.options.host)
            slot = _range(slot_text)[0]
        except (ValueError, ProtocolError):
            return None
        node = self._node(replace(met.node.options, host=host, port=port))
        if node is None:
            return None
        if error.code == "ASK":
            return RedisTarget(node, asks=True)
        self.refresh()
        self._owners[slot] = target = RedisTarget(node)
        return target

    def refresh(self) -> None:
        """Look at the cluster again, in the background and at most once in ``REFRESH_S``."""
        now = self._clock.now()
        if self._is_closed or self._refreshing is not None or now - self._refreshed_s < REFRESH_S:
            return
        self._refreshed_s = now
        self._refreshing = asyncio.get_running_loop().create_task(self._refresh())
        self._refreshing.add_done_callback(self._refreshed)

    async def join(self) -> None:
        """Wait until all that was sent has ended."""
        for node in list(self._nodes.values()):
            await node.join()

    async def aclose(self) -> None:
        """Finish what was written and close all connections."""
        self._is_closed = True
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])
        leaving = [asyncio.ensure_future(node.aclose()) for node in self._nodes.values()]
        if leaving or self._leaving:
            await asyncio.wait([*leaving, *self._leaving])

    def _node(self, options: RedisOptions) -> RedisNode | None:
        """Return the node at an address; None where there are too many."""
        node = self._nodes.get((options.host, options.port))
        if node is None and len(self._nodes) < MOST_NODES:
            node = self._nodes[options.host, options.port] = self._make(options)
        return node

    async def _refresh(self) -> None:
        self._turn += 1
        known = [node.options for node in self._nodes.values()]
        known = [*known[self._turn % len(known) :], *known[: self._turn % len(known)]] if known else []
        for options in [*known, *(seed for seed in self._seeds if seed not in known)]:
            try:
                said = await ask(
                    options, Kind.BULK, "CLUSTER", "NODES", timeout_s=self._timeout_s, clock=self._clock
                )
                masters = list(masters_of(said[0].decode("utf-8", "replace") if said else "", options.host))
            except (OSError, TimeoutError, ReplyError, ProtocolError):
                continue
            if masters:
                self._adopt(masters, options)
                return

    def _refreshed(self, refreshing: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not refreshing.cancelled():
            refreshing.result()

    def _adopt(self, masters: list[Owned], options: RedisOptions) -> None:
        owners: list[RedisTarget | None] = [None] * SLOTS
        wanted = {(host, port) for host, port, _ in masters}
        for address in [each for each in self._nodes if each not in wanted]:
            leaving = asyncio.ensure_future(self._nodes.pop(address).aclose())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        for host, port, ranges in masters:
            node = self._node(replace(options, host=host, port=port))
            for first, last in ranges if node is not None else ():
                owners[first : last + 1] = [RedisTarget(node)] * (last - first + 1)  # type: ignore[arg-type]
        self._owners = owners


_: type[RedisRoutes] = RedisCluster
