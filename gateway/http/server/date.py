"""The time of day, as the Date header of every response has it."""

from __future__ import annotations

from email.utils import formatdate

from gateway.core.clock import Clock


class DateClock:
    """``value``: the Date header's value, as of the last ``update``."""

    __slots__ = ("_clock", "value")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.value = b""
        self.update()

    def __repr__(self) -> str:
        return f"<DateClock {self.value.decode()}>"

    def update(self) -> bool:
        """Look at the clock; return whether the value has changed."""
        value = formatdate(self._clock.wall(), usegmt=True).encode("ascii")
        if value == self.value:
            return False
        self.value = value
        return True
