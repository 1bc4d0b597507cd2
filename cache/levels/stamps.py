"""Expiries of answers that are shared between processes: wall seconds outside, steady seconds in here.

They are the same seconds until the system's clock is set back, which only the process that lives through it
can see. From then on what it writes carries the system's time again, as everybody reads it, while what it
reads stays as old as it was for ``HOLD_S``: either the new time is wrong, or the old was, and then everything
that was written by the old one has expired when the hold ends.
"""

from __future__ import annotations

import logging
from typing import Final

from msgspec.structs import replace

from cache.levels.level import Entry
from gateway.core.clock import Clock

HOLD_S: Final = 3600.0
"""As long as answers are kept by default."""

_SLACK_S: Final = 1.0
"""Clocks are adjusted by less than that all the time."""

_log = logging.getLogger("edgeway.redis")


class Stamps:
    """Turns expiries into what others read, and back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._behind_s = 0.0
        self._since_s = 0.0

    def __repr__(self) -> str:
        return f"<Stamps system's clock set back by {self._behind_s:.0f} s>"

    def outward(self, entry: Entry) -> Entry:
        """Return ``entry`` with expiries in wall seconds."""
        behind_s = self._look()
        return _moved(entry, -behind_s) if behind_s else entry

    def inward(self, entry: Entry) -> Entry:
        """Return ``entry``, whose expiries are wall seconds, with steady ones."""
        behind_s = self._look()
        is_held = self._clock.steady() - self._since_s < HOLD_S
        return _moved(entry, behind_s) if behind_s and not is_held else entry

    def _look(self) -> float:
        now = self._clock.steady()
        behind_s = now - self._clock.wall()
        if behind_s < _SLACK_S:
            self._behind_s = 0.0
        elif abs(behind_s - self._behind_s) >= _SLACK_S:
            _log.warning("the system's clock was set back by %.0f s", behind_s - self._behind_s)
            self._behind_s, self._since_s = behind_s, now
        return self._behind_s


def _moved(entry: Entry, by_s: float) -> Entry:
    response = entry.response
    if response.born:
        response = replace(response, born=max(response.born + by_s, 0.0))
    return replace(
        entry,
        response=response,
        soft_expiry=entry.soft_expiry + by_s,
        hard_expiry=entry.hard_expiry + by_s,
    )
