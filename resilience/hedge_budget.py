"""How many hedges the requests of a route pay for."""

from __future__ import annotations

from typing import Final

_MOST_SAVED: Final = 10.0
_ROUNDING: Final = 1e-9
"""Twenty times a twentieth may be a little less than one."""


class HedgeBudget:
    """Each request pays in ``percent`` of a hedge, and each hedge costs one.

    So of any number of requests, from the first one on, no more than ``percent`` are hedged, however slow all
    of them are. What is not used is saved up to ten hedges, for the minute in which they are needed (Finagle:
    backup requests).
    """

    __slots__ = ("_paid_in", "_percent", "_saved")

    def __init__(self, percent: float) -> None:
        self._percent = percent
        self._paid_in = percent / 100
        self._saved = 0.0

    def __repr__(self) -> str:
        return f"<HedgeBudget {self._percent:g} %, {int(self._saved + _ROUNDING)} saved>"

    @property
    def has_one(self) -> bool:
        """Whether a hedge may be sent now."""
        return self._saved + _ROUNDING >= 1

    def enter(self) -> None:
        """A request has come."""
        self._saved = min(_MOST_SAVED, self._saved + self._paid_in)

    def take(self) -> None:
        """Take one; ``has_one`` has said that there is one."""
        self._saved -= 1
