"""How soon an endpoint that could not be reached is tried again."""

from __future__ import annotations

from gateway.core.clock import Chance


class Backoff:
    """Exponential back-off with full jitter: after n failures in a row the n-th wait is anywhere
    between 0 and ``initial_s`` · 2ⁿ, at most ``longest_s`` (M. Brooker, "Exponential Backoff And
    Jitter", 2015), so that many gateways do not come back to a server in one moment.
    """  # noqa: D205 - the first sentence is the definition, and it is long

    def __init__(self, initial_s: float, longest_s: float, chance: Chance) -> None:
        self._initial_s, self._longest_s, self._chance = initial_s, longest_s, chance
        self._failures = 0
        self.until = 0.0
        """Loop time before which no connection is tried."""

    def __repr__(self) -> str:
        return f"<Backoff after {self._failures} failures>"

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    def holds(self, now: float) -> bool:
        """Whether it is too early to try again."""
        return now < self.until

    def failed(self, now: float) -> None:
        """Take note of a failure."""
        # 2 to the power of 63 is as good as any number above it.
        longest_s = min(self._longest_s, self._initial_s * 2 ** min(self._failures, 63))
        self._failures += 1
        self.until = now + self._chance.uniform(0, longest_s)

    def succeeded(self) -> None:
        """Take note of a success, which ends the row."""
        self._failures = 0
        self.until = 0.0
