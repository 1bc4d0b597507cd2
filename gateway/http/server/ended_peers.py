"""Why peers were ended: one line of log now and then, however many there are."""

from __future__ import annotations

import logging
from collections import Counter
from enum import Enum
from typing import Final

REPORT_S: Final = 10.0
"""Seconds between two lines at least."""

_log = logging.getLogger(__name__)


class Ending(Enum):
    """Why a request or a connection was ended; what is named is the setting that decides it."""

    SLOW_BODY = "bodies too slow (min_body_bytes_per_s, request_timeout_s)"
    GIVEN_UP = "bodies given up for others (max_buffered_mib)"
    NO_ROOM = "requests without room (max_buffered_mib and the percents of it)"
    IDLE_STREAM = "streams idle (stream_idle_timeout_s)"
    SLOW_READER = "answers read too slowly (write_timeout_s)"
    UNREAD = "answers unread, without room (max_buffered_mib and the percents of it)"


class EndedPeers:
    """Counts endings between two lines of log. ``totals``: since the beginning."""

    def __init__(self) -> None:
        self.totals: Counter[Ending] = Counter()
        self._reported: Counter[Ending] = Counter()
        self._next = 0.0

    def __repr__(self) -> str:
        return f"<EndedPeers, {self.totals.total()}>"

    def note(self, ending: Ending) -> None:
        """Count one."""
        self.totals[ending] += 1

    def report(self, now: float) -> None:
        """Log what was ended since the last line, if there is anything and its time has come."""
        if now < self._next or self.totals == self._reported:
            return
        since = self.totals - self._reported
        self._reported, self._next = self.totals.copy(), now + REPORT_S
        counts = ", ".join(f"{count} {ending.value}" for ending, count in since.items())
        _log.warning("clients were cut off: %s", counts)
