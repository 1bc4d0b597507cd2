"""What a peer does not read is in the book."""

from __future__ import annotations

from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.settings import TransportSettings
from gateway.http.server.unread_answers import UnreadAnswers

MIB = 1 << 20


def test_they_grow_and_shrink():
    """In the names of whoever asked first, until all is read."""
    limits = AddressLimits(TransportSettings(max_buffered_mib=1))
    bookings = [limits.of("a").booking("x"), limits.of("a").booking("y")]
    unread = UnreadAnswers(lambda: bookings[0])
    assert unread.book(0)
    assert limits.held == 0
    assert unread.book(100)
    bookings.reverse()
    assert unread.book(300)
    assert (limits.of_holder("x").held, limits.of_holder("y").held, limits.overhead) == (300, 0, 300)
    assert unread.book(0)
    assert unread.book(50)
    assert (limits.of_holder("x").held, limits.of_holder("y").held, limits.held) == (0, 50, 50)
    assert repr(unread) == "<UnreadAnswers, 50 bytes>"


def test_without_room():
    """One answer always has room; the share bounds what is beyond it, and stays as it was."""
    limits = AddressLimits(TransportSettings(max_buffered_mib=1))
    one, other = (UnreadAnswers(limits.of("a").booking) for _ in range(2))
    assert one.book(MIB // 2)
    assert not other.book(100)
    assert (one.size, other.size, limits.held) == (MIB // 2, 0, MIB // 2)
    assert one.book(MIB // 2 - 1)
    assert one.book(0)
    assert other.book(100)
    assert not one.book(2 * MIB), "more than there is"
