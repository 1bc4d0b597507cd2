"""What of the answers a peer has not read: it is in the same book as what has come of its requests."""

from __future__ import annotations

from collections.abc import Callable

from gateway.http.server.address_limits import Booking


class UnreadAnswers:
    """Of one connection. ``size``: bytes that are booked. ``current`` returns where its newest request is."""

    __slots__ = ("_booking", "_current", "size")

    def __init__(self, current: Callable[[], Booking]) -> None:
        self._current = current
        self._booking: Booking | None = None
        self.size = 0

    def __repr__(self) -> str:
        return f"<UnreadAnswers, {self.size} bytes>"

    def book(self, size: int) -> bool:
        """Book that ``size`` bytes wait; return whether there is room for them.

        The first may be of any size where its address has nothing else. Without room, as much stays booked as
        was before.
        """
        more = size - self.size
        if not more:
            return True
        booking = self._booking
        if booking is None or not self.size:
            booking = self._booking = self._current()
        if more > 0 and not booking.has_room(more, 0 if self.size else size):
            return False
        booking.charge(more)
        self.size = size
        return True
