"""Whether a body comes fast enough, and in time."""

from __future__ import annotations

from gateway.http.server.settings import TransportSettings


class BodyProgress:
    """Looks at one body again and again.

    In each window of ``body_timeout_s`` it has to come by as much as ``min_body_bytes_per_s`` comes to: what
    came before the window is no credit. All of it has to come within ``request_timeout_s``. ``since``: loop
    time at which the window began.
    """

    __slots__ = ("_began", "_size", "since")

    def __init__(self, began: float, size: int = 0) -> None:
        self._began = self.since = began
        self._size = size

    def __repr__(self) -> str:
        return f"<BodyProgress {self._size} bytes at {self.since:g}>"

    def is_late(self, size: int, now: float, settings: TransportSettings) -> bool:
        """Whether ``size`` bytes at loop time ``now`` are too few, or too late."""
        window_s = settings.body_timeout_s
        if size - self._size >= settings.min_body_bytes_per_s * window_s:
            self._size, self.since = size, now
        return now - self.since > window_s or now - self._began > settings.request_timeout_s

    def excuse(self, size: int, now: float) -> None:
        """Begin another window: it was this side that has not read."""
        self._size, self.since = size, now
