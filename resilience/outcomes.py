"""How the requests of one member have ended, counted for those who compare members."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.errors import Why
from resilience.settings import OutlierSettings

GATEWAY: Final = "gateway"
LOCAL: Final = "local"


class Interval(msgspec.Struct, frozen=True):
    """One member in one interval: requests that it served, and those whose failure is its own."""

    name: str
    successes: int = 0
    failures: int = 0

    @property
    def volume(self) -> int:
        """Requests that say something about it."""
        return self.successes + self.failures

    @property
    def success_rate(self) -> float:
        """Percent of its requests that it served; 100 where there was none."""
        return 100.0 * self.successes / self.volume if self.volume else 100.0


class Outcomes:
    """Counts outcomes, in the interval and in a row.

    What a member answered, and what came to no answer (connect, reset, time: of local origin), are counted
    apart where the settings split them. An answer, whatever it says, ends a row of the latter.
    """

    __slots__ = ("_failures", "_gateway", "_local", "_settings", "_successes")

    def __init__(self, settings: OutlierSettings) -> None:
        self._settings = settings
        self._successes = self._failures = 0
        self._gateway = self._local = 0

    def __repr__(self) -> str:
        return (
            f"<Outcomes {self._successes} served, {self._failures} failed, "
            f"in a row {self._gateway} gateway, {self._local} local>"
        )

    def succeeded(self) -> None:
        """A request was served."""
        self._successes += 1
        self._gateway = self._local = 0

    def failed(self, why: Why) -> str:
        """A request failed because of the member; return of which kind there are too many in a row, or ""."""
        settings = self._settings
        if settings.split_external_local_origin_errors and not why.answered:
            self._local += 1
            return LOCAL if self._local >= settings.consecutive_local_origin_failure else ""
        self._local = 0
        self._failures += 1
        self._gateway += 1
        return GATEWAY if self._gateway >= settings.consecutive_gateway_failure else ""

    def restart(self) -> None:
        """It is out or in again: rows begin anew."""
        self._gateway = self._local = 0

    def take(self, name: str) -> Interval:
        """Return the interval that ends now, and begin the next."""
        interval = Interval(name, self._successes, self._failures)
        self._successes = self._failures = 0
        return interval
