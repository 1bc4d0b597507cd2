"""The large bodies that are on their way: which of them are given up when the room for all is full."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from gateway.http.server.address_limits import AddressUsage, Booking, HolderUsage

LARGE: Final = 128 << 10
"""Bytes of a body that has come from which on it is known here. Of smaller ones there may be very many."""

GIVEN_UP: Final = "the body is not here yet, and others need the memory that it takes"
"""What a client is told whose body was given up; with 408."""


class IncomingBody(Protocol):
    """A body that is on its way, of which bytes are booked."""

    @property
    def booking(self) -> Booking:
        """In whose names it is booked."""
        ...

    @property
    def booked(self) -> int:
        """Bytes that are booked."""
        ...

    @property
    def progressed_at(self) -> float:
        """Loop time up to which it came fast enough."""
        ...


class IncomingBodies:
    """Bodies that have come in part, each of them large.

    Shares alone do not keep room: enough addresses or holders, each within its share, have all of it, and one
    of many behind a proxy has all that the proxy's address may have. So who asks for room that is not there
    gets it from those who have more: of strangers first, then of the owner that has most; there it is the
    body that has come no further for the longest time. Nobody has to yield to one who would then have as much
    as itself, and nobody known to a stranger. ``given_up``: how many did. ``looks``: how often all were
    looked at.
    """

    def __init__(self) -> None:
        self._bodies: dict[IncomingBody, Callable[[], None]] = {}
        # What was asked for in vain, and how all was then.
        self._vain: tuple[int, int] = (0, 0)
        self._vain_state: tuple[object, ...] = ()
        self.given_up = self.looks = 0

    def __repr__(self) -> str:
        return f"<IncomingBodies, {len(self._bodies)} on their way, {self.given_up} given up>"

    def __len__(self) -> int:
        return len(self._bodies)

    def __contains__(self, body: IncomingBody) -> bool:
        return body in self._bodies

    def add(self, body: IncomingBody, give_up: Callable[[], None]) -> None:
        """Note a body that has become large; ``give_up`` refuses it: then nothing of it stays booked."""
        self._bodies[body] = give_up

    def remove(self, body: IncomingBody) -> None:
        """Forget a body that is whole, or over."""
        self._bodies.pop(body, None)

    def make_room(
        self, missing: int, size: int, asker: Booking, within: AddressUsage | HolderUsage | None = None
    ) -> bool:
        """Give up bodies until ``missing`` bytes are free for ``size`` of ``asker``; return whether they are.

        Only those ``within`` the share of an address or holder, where one is given. Nothing is given up where
        that would not be enough, nor what takes little now: of a stream, that is, which is read as it comes.
        """
        state = (asker.owner, within, asker.held_in_all, len(self._bodies))
        if state == self._vain_state and missing >= self._vain[0] and size >= self._vain[1]:
            # One read may have hundreds of requests, and thousands of bodies may be on their way.
            return False
        self.looks += 1
        yielding = [
            body
            for body in self._bodies
            if body.booked >= LARGE
            and (within is None or body.booking.address is within or body.booking.holder is within)
            and _yields(body.booking, asker, size)
        ]
        if sum([body.booked for body in yielding]) < missing:
            self._vain, self._vain_state = (missing, size), state
            return False
        yielding.sort(key=_order)
        for body in yielding:
            if missing <= 0:
                break
            if _yields(body.booking, asker, size):
                missing -= body.booked
                self.given_up += 1
                self._bodies.pop(body)()
        return missing <= 0


def _yields(held: Booking, asker: Booking, size: int) -> bool:
    if not asker.name and held.name:
        return False
    owner, asking = held.owner, asker.owner
    if owner is asking:
        return False
    return (bool(asker.name) and not held.name) or owner.held > asking.held + size


def _order(body: IncomingBody) -> tuple[bool, int, float]:
    booking = body.booking
    return bool(booking.name), -booking.owner.held, body.progressed_at
