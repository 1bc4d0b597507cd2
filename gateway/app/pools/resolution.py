"""What the names of one endpoint lead to, looked up again and again."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from gateway.app.pools.listing import MOST, Name
from gateway.core.address import canonical
from gateway.core.clock import Clock

LookUp = Callable[[Name], Awaitable[Sequence[str]]]
"""Returns the addresses of a name; raises OSError where it cannot be looked up."""

LEAST_S: Final = 1.0
"""Seconds between two look-ups of one name at least, whoever asks for them."""

PATIENCE_S: Final = 0.5
"""Seconds for which names that are known wait for one that takes longer."""

_log = logging.getLogger("edgeway.upstreams")


async def look_up(name: Name) -> Sequence[str]:
    """Return the addresses that the system's resolver has for a name.

    Raises:
        OSError: it has none.
    """
    loop = asyncio.get_running_loop()
    try:
        entries = await loop.getaddrinfo(name.host, name.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("the name cannot be one") from error
    return [str(entry[4][0]) for entry in entries]


class Resolution:
    """Looks ``names`` up when it starts, every ``refresh_s`` seconds, and sooner when it is hurried.

    What was found last holds while a name cannot be looked up, or leads nowhere: a resolver that is down
    takes no member away. One name that hangs holds up no other; no second look-up of it is begun meanwhile.

    Args:
        names: to look up.
        known: what is known of them already.
        changed: called when a name leads elsewhere than before.
        refresh_s: seconds between two look-ups of a name.
        timeout_s: seconds that ``first`` waits.
        clock: time, and sleep.
        look_up: asks the resolver.
    """

    def __init__(
        self,
        names: Iterable[Name],
        known: Mapping[Name, Sequence[str]],
        changed: Callable[[], None],
        *,
        refresh_s: float,
        timeout_s: float,
        clock: Clock,
        look_up: LookUp = look_up,
    ) -> None:
        self._names = tuple(names)
        self.known = {name: tuple(known[name]) for name in self._names if name in known}
        self._changed, self._look_up, self._clock = changed, look_up, clock
        self._refresh_s, self._timeout_s = refresh_s, timeout_s
        self.problem = ""
        """Why the last look-up of a name found nothing; empty: it did."""
        self._task: asyncio.Task[None] | None = None
        self._round: asyncio.Task[None] | None = None
        self._asked: dict[Name, asyncio.Task[None]] = {}
        self._late: set[Name] = set()
        self._problems: dict[Name, str] = {}
        self._is_news, self._is_gathering = False, False
        self._settled = asyncio.Event()
        self._looked_at = float("-inf")
        self._hurried = asyncio.Event()

    def __repr__(self) -> str:
        found = sum(map(len, self.known.values()))
        problem = f", {self.problem}" if self.problem else ""
        return f"<Resolution of {len(self._names)} names, {found} addresses{problem}>"

    def start(self) -> None:
        """Begin to look up, if there are names."""
        if self._names and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def hurry(self) -> None:
        """Look up soon: a member has failed, and the name may lead elsewhere by now."""
        self._hurried.set()

    async def first(self) -> None:
        """Wait until one name leads somewhere or all were looked up, for as long as that may take."""
        if not self._names or self.known:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                _ = self._look()
                await self._settled.wait()
        except TimeoutError:
            self.problem = self.problem or "looking up its name takes too long"

    async def aclose(self) -> None:
        """Look up no more."""
        tasks = [task for task in (self._task, self._round, *self._asked.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.shield(self._look())
            await self._until_due()

    async def _until_due(self) -> None:
        wait_s = self._refresh_s if len(self.known) == len(self._names) else min(LEAST_S, self._refresh_s)
        sleeping = asyncio.ensure_future(self._clock.sleep(wait_s))
        hurried = asyncio.ensure_future(self._hurried.wait())
        try:
            await asyncio.wait((sleeping, hurried), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (sleeping, hurried):
                each.cancel()
        self._hurried.clear()
        early_s = self._looked_at + min(LEAST_S, self._refresh_s) - self._clock.now()
        if early_s > 0:
            await self._clock.sleep(early_s)

    def _look(self) -> asyncio.Task[None]:
        if self._round is None or self._round.done():
            if not self.known:
                self._settled.clear()
            self._round = asyncio.get_running_loop().create_task(self._look_at_all())
        return self._round

    async def _look_at_all(self) -> None:
        self._looked_at = self._clock.now()
        loop = asyncio.get_running_loop()
        for name in self._names:
            # What has come late is new enough for this round.
            if name not in self._asked and name not in self._late:
                self._asked[name] = loop.create_task(self._look_at(name))
        self._late.clear()
        self._is_gathering = True
        try:
            if self._asked:
                await asyncio.wait(self._asked.values(), timeout=PATIENCE_S)
        finally:
            self._is_gathering = False
        self._take()

    async def _look_at(self, name: Name) -> None:
        try:
            self._problems[name] = await self._problem_of(name)
        finally:
            del self._asked[name]
        if not self._is_gathering:
            # Those that were waited for are in use already.
            self._late.add(name)
            self._take()

    def _take(self) -> None:
        self.problem = next(filter(None, map(self._problems.get, self._names)), "") or ""
        if self._is_news:
            self._is_news = False
            self._changed()
        if self.known or not self._asked:
            self._settled.set()

    async def _problem_of(self, name: Name) -> str:
        """Look ``name`` up, and return why nothing was found."""
        try:
            found = await self._look_up(name)
        except OSError as error:
            _log.debug("'%s' could not be looked up: %s", name, error)
            return "its name is not known"
        addresses = tuple(sorted(filter(None, dict.fromkeys(map(canonical, found)))))
        if not addresses:
            return "its name has no address"
        self._is_news = self._is_news or addresses != self.known.get(name)
        self.known[name] = addresses
        if len(addresses) > MOST:
            _log.warning("'%s' has %d addresses, of which %d are used", name, len(addresses), MOST)
        return ""
