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
    takes no member away. A look-up that hangs is waited for, and no second one is begun beside it.

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
        """Wait until the names were looked up once, for as long as that may take."""
        if not self._names or self.known:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(self._look())
        except TimeoutError:
            self.problem = self.problem or "looking up its name takes too long"

    async def aclose(self) -> None:
        """Look up no more."""
        tasks = [task for task in (self._task, self._round) if task is not None]
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
            self._round = asyncio.get_running_loop().create_task(self._look_at_all())
        return self._round

    async def _look_at_all(self) -> None:
        self._looked_at = self._clock.now()
        outcomes = await asyncio.gather(*map(self._look_at, self._names))
        self.problem = next(filter(None, (problem for problem, _ in outcomes)), "")
        if any(is_news for _, is_news in outcomes):
            self._changed()

    async def _look_at(self, name: Name) -> tuple[str, bool]:
        """Return why nothing was found, and whether something else was than before."""
        try:
            found = await self._look_up(name)
        except OSError as error:
            _log.debug("'%s' could not be looked up: %s", name, error)
            return "its name is not known", False
        addresses = tuple(sorted(filter(None, dict.fromkeys(map(canonical, found)))))
        if not addresses:
            return "its name has no address", False
        before = self.known.get(name)
        self.known[name] = addresses
        if len(addresses) > MOST:
            _log.warning("'%s' has %d addresses, of which %d are used", name, len(addresses), MOST)
        return "", addresses != before
