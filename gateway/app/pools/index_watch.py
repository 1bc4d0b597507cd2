"""Asks the members of an endpoint which models they hold, again and again, beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from gateway.app.pools.member import PoolMember
from gateway.app.pools.pool_models import ModelChanges
from gateway.core.catalog import IndexEntry
from gateway.core.clock import Chance, Clock
from gateway.core.errors import Fault, GatewayError
from gateway.wire.oip.passed_index import MAX_ENTRIES
from resilience.health_check import BackgroundTask
from routing.holdings import Holdings

INTERVAL_S: Final = 10.0
"""Seconds between two questions to one member, a tenth more or less, so that gateways do not ask at once."""

FIRST_S: Final = 1.0
"""The first question comes within so many seconds."""

LEAST_S: Final = 1.0
"""Seconds between two rounds, whatever makes another one due."""

LIMIT_S: Final = 2.0
"""Seconds that one member has to answer."""

STALE_S: Final = 3600.0
"""Seconds for which the last answer of a member holds that serves, and cannot be asked."""

IN_A_ROUND: Final = 16
"""Members of which one round asks; of larger pools the others have their turn in the next."""

MOST_DIFFERENT: Final = 16
"""Different answers that are kept of one endpoint: replicas hold the same, and answers may be large."""

_NO_INDEX: Final = frozenset({Fault.NOT_FOUND, Fault.UNSUPPORTED, Fault.INVALID})
"""Faults with which a server answers that has no index, as ``gateway.core.catalog.RemoteCatalog`` has it."""

_JITTER: Final = 0.1

_log = logging.getLogger("edgeway.upstreams")


class IndexWatch:
    """Keeps what members are known to hold (``PoolMember.holdings``), one member after the other.

    Who has no index may hold everything. Who does not answer, or nothing that can be read, holds what it
    held; nobody is asked while its breaker is open. Where neither another endpoint nor another member could
    take a request, nobody is asked at all: the answer would change nothing.

    Args:
        endpoint: whose members they are.
        members: returns them.
        clock: time.
        chance: spreads the questions.
        changes: is told what has changed.
    """

    def __init__(
        self,
        endpoint: str,
        members: Callable[[], Sequence[PoolMember]],
        *,
        clock: Clock,
        chance: Chance,
        changes: ModelChanges,
    ) -> None:
        self._endpoint, self._members, self._changes = endpoint, members, changes
        self._clock, self._chance = clock, chance
        self._has_rivals = False
        self._task = BackgroundTask()
        self._hurried = asyncio.Event()
        self._next = 0

    def __repr__(self) -> str:
        known = sum(each.holdings is not None for each in self._members())
        state = "off" if self._task.is_idle else "on"
        return f"<IndexWatch of {self._endpoint}: {known} members known, {state}>"

    def start(self, *, has_rivals: bool) -> None:
        """Begin, or go on; ``has_rivals``: another endpoint could take its requests."""
        self._has_rivals = has_rivals
        self._task.start(self._run)

    async def aclose(self) -> None:
        """Ask no more."""
        await self._task.aclose()

    def contradicted(self, member: PoolMember, model: str, version: str) -> bool:
        """Take note that a member says it has no such model; return whether its index says it has.

        It is believed until its index is read again, which is soon.
        """
        holdings = member.holdings
        if holdings is None or not holdings.has(model, version):
            return False
        self._take(member, holdings.without(model, version))
        self._hurried.set()
        return True

    async def _run(self) -> None:
        await self._clock.sleep(self._chance.random() * FIRST_S)
        while True:
            await self._round()
            await self._until_due()

    async def _round(self) -> None:
        members = self._members()
        if not members or (len(members) < 2 and not self._has_rivals):
            return
        begin = self._next % len(members)
        turn = (*members[begin:], *members[:begin])[:IN_A_ROUND]
        self._next = begin + len(turn)
        for each in turn:
            if each.is_up:
                await self._ask(each)

    async def _until_due(self) -> None:
        began = self._clock.now()
        wait_s = INTERVAL_S * (1 + _JITTER * (2 * self._chance.random() - 1))
        sleeping = asyncio.ensure_future(self._clock.sleep(wait_s))
        hurried = asyncio.ensure_future(self._hurried.wait())
        try:
            await asyncio.wait((sleeping, hurried), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            hurried.cancel()
        self._hurried.clear()
        if (early_s := began + LEAST_S - self._clock.now()) > 0:
            await self._clock.sleep(early_s)

    async def _ask(self, member: PoolMember) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                entries = await member.parts.upstream.index()
        except GatewayError as error:
            self._failed(member, has_answered=error.fault in _NO_INDEX)
        except TimeoutError:
            self._failed(member, has_answered=False)
        except Exception:  # noqa: BLE001 - whatever it is, requests go on, and the next time may be better
            _log.debug("the index of %s cannot be read", member.label, exc_info=True)
            self._failed(member, has_answered=False)
        else:
            member.indexed_at = self._clock.now()
            self._take(member, _holdings(entries))

    def _failed(self, member: PoolMember, *, has_answered: bool) -> None:
        if has_answered or self._clock.now() >= member.indexed_at + STALE_S:
            self._take(member, None)

    def _take(self, member: PoolMember, found: Holdings | None) -> None:
        """Note what ``member`` holds; equal holdings of an endpoint's members are one object."""
        if found == member.holdings:
            return
        if found is not None:
            others = [each.holdings for each in self._members() if each is not member]
            known = {id(each): each for each in others if each is not None}
            same = next((each for each in known.values() if each == found), None)
            found = same if same is not None or len(known) >= MOST_DIFFERENT else found
        if found is member.holdings:
            return
        member.holdings, member.held_since = found, self._clock.wall()
        self._changes.note()


def _holdings(entries: Sequence[IndexEntry]) -> Holdings | None:
    """Return what an index says; None where it is so long that not all of it was read."""
    return Holdings.indexed(entries) if len(entries) < MAX_ENTRIES else None
