"""What an HTTP/1.1 connection waits for, since when, and for how long it may."""

from __future__ import annotations

from typing import Final

from gateway.http.server.context import ServerContext

HEAD: Final = "head"
IDLE: Final = "idle"
BODY: Final = "body"
SERVING: Final = "serving"
LINGERING: Final = "lingering"
CLOSING: Final = "closing"

DRAIN_SILENCE_S: Final = 1.0
"""A connection without a request is closed this long after the drain began."""

DRAIN_HEAD_S: Final = 2.0
"""As long after it began, a head that is coming must have come."""


class Http1Phase:
    """The one thing that a connection waits for.

    ``HEAD``: the rest of a request's head, or its very first byte. ``IDLE``: the next request. ``BODY``: the
    rest of a body. ``SERVING``: an answer of ours, for which there is no limit here. ``LINGERING``: the end
    of a peer that was refused. ``CLOSING``: the peer, to take the last bytes; ``Progress`` sees to that.
    """

    __slots__ = ("_ledger", "_since", "name")

    def __init__(self, ledger: ServerContext) -> None:
        self._ledger = ledger
        self.name = HEAD
        self._since = ledger.loop.time()

    def __repr__(self) -> str:
        return f"<Http1Phase {self.name}>"

    def begin(self, name: str) -> None:
        """Wait for ``name`` from now on."""
        self.name = name
        self._since = self._ledger.loop.time()

    def enter(self, name: str) -> None:
        """Wait for ``name``; if that is so already, the wait goes on and does not begin anew."""
        if name is not self.name:
            self.begin(name)

    def is_overdue(self, now: float, body_bytes: int) -> bool:
        """Whether it takes too long at loop time ``now``; ``body_bytes`` of the body have come."""
        settings, elapsed_s = self._ledger.settings, now - self._since
        if self.name is SERVING or self.name is CLOSING:
            return False
        if self.name is BODY:
            # The first seconds may be slow; over the rest the average counts.
            least = settings.min_body_bytes_per_s * (elapsed_s - settings.body_timeout_s / 2)
            return elapsed_s > settings.body_timeout_s and body_bytes < least
        is_draining, head_s = self._ledger.is_draining, settings.request_headers_timeout_s
        limits_s = {
            HEAD: min(head_s, DRAIN_HEAD_S) if is_draining else head_s,
            IDLE: DRAIN_SILENCE_S if is_draining else settings.idle_timeout_s,
            LINGERING: settings.lingering_s,
        }
        return elapsed_s > limits_s[self.name]
