"""One look at the health for all who watch it, however many they are."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gateway.core.address import network
from gateway.core.errors import Fault, GatewayError
from gateway.http.exchange import RequestBody

HEALTH_PAUSE_S: Final = 1.0
"""Seconds between two looks at the health."""

REPEAT_LOOKS: Final = 60
"""Looks after which the same health is sent once more: a stream in which nothing happens would be ended
(``stream_idle_timeout_s``), and clients take that for an outage."""


class Watcher:
    """One call that waits for news.

    ``seen``: the health that it has sent last, 0 for none. ``follows``: whether the health may change; that
    of a service that there is not does not. ``quiet``: looks since it has sent something.
    """

    __slots__ = ("_news", "_stream", "follows", "quiet", "seen")

    def __init__(self, stream: RequestBody) -> None:
        self._stream = stream
        self._news: asyncio.Future[None] | None = None
        self.seen = self.quiet = 0
        self.follows = True

    def __repr__(self) -> str:
        return f"<Watcher that has seen {self.seen}>"

    @property
    def is_due(self) -> bool:
        """Whether the same health is to be sent again."""
        return self.quiet >= REPEAT_LOOKS

    async def news(self) -> None:
        """Wait until there may be another health, the same is due again, or the connection ends."""
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def look(self, health: int) -> None:
        """Wake the call up if there is news for it."""
        self.quiet += 1
        if self._news is None or self._news.done():
            return
        if (self.follows and health != self.seen) or self.is_due or self._stream.is_leaving:
            self._news.set_result(None)


class HealthTicker:
    """Looks once a second, as long as anybody watches, and wakes up those for whom something has changed.

    Args:
        look: returns the health now.
        most: watchers at a time.
        most_per_address: those of one address; of IPv6, of one network of 64 bits.
    """

    def __init__(self, look: Callable[[], int], *, most: int, most_per_address: int) -> None:
        self._look = look
        self._most, self._most_per_address = most, most_per_address
        self._watchers: set[Watcher] = set()
        self._addresses: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<HealthTicker of {len(self._watchers)} watchers>"

    def refusal(self, address: str) -> GatewayError | None:
        """Return why a client at ``address`` may not watch now; None: it may."""
        if len(self._watchers) < self._most and self._addresses[network(address)] < self._most_per_address:
            return None
        return GatewayError(
            Fault.OVERLOADED,
            "too many calls watch the health already; use Check, or watch once a process",
        )

    @contextmanager
    def watcher(self, stream: RequestBody, address: str) -> Iterator[Watcher]:
        """Return a watcher of a client at ``address``.

        Raises:
            GatewayError: OVERLOADED when there are too many.
        """
        if refusal := self.refusal(address):
            raise refusal
        place, watcher = network(address), Watcher(stream)
        self._watchers.add(watcher)
        self._addresses[place] += 1
        if self._timer is None:
            self._start(asyncio.get_running_loop())
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self._addresses[place] -= 1
            if not self._addresses[place]:
                del self._addresses[place]
            if not self._watchers and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(HEALTH_PAUSE_S, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._start(loop)
        health = self._look()
        for watcher in self._watchers:
            watcher.look(health)
