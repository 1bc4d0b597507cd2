"""What each address has open with a listener."""

from __future__ import annotations

import gc

import pytest

from gateway.core.address import silent_proxy
from gateway.http.server.address_limits import AddressLimits, Booked
from gateway.http.server.settings import TransportSettings

MIB = 1 << 20


def limits_of(**settings: int) -> AddressLimits:
    return AddressLimits(TransportSettings(max_buffered_mib=1, **settings))


def test_room_in_all():
    """To the byte, whoever asks."""
    limits = limits_of(max_buffered_percent_per_address=100, max_buffered_percent_of_strangers=100)
    one, other = limits.of("a").booking(), limits.of("b").booking()
    assert one.take(1000, MIB)
    assert other.has_room(MIB - 1000, MIB)
    assert not other.has_room(MIB - 999, MIB)
    one.give(1000)
    assert other.has_room(MIB, MIB)


def test_the_share_of_one():
    """A quarter by default, and no less than one body, whoever its holders are; nobody else has less for it."""
    limits = limits_of()
    usage = limits.of("a")
    one, same = usage.booking("x"), usage.booking("y")
    assert one.has_room(MIB * 3 // 4, MIB * 3 // 4)
    assert one.take(MIB // 8, 1000)
    assert same.take(MIB // 8, 1000)
    assert not one.take(1, 1000)
    assert not same.take(1, 1000)
    assert usage.held == limits.buffered == MIB // 4
    assert limits.of("b").booking("x").take(MIB // 8, 1000)


def test_the_share_of_a_holder():
    """A quarter by default, from as many addresses as it likes; all strangers together have theirs."""
    for holder in ("x", ""):
        limits = limits_of(max_buffered_percent_of_strangers=25)
        bookings = [limits.of(f"10.0.0.{number}").booking(holder) for number in range(8)]
        assert all(booking.take(MIB // 32, 1000) for booking in bookings)
        assert not limits.of("10.0.1.1").booking(holder).take(1, 1000)
        assert limits.of("10.0.1.1").booking("somebody else").take(MIB // 4, 1000)
        assert limits.of("10.0.1.2").booking(holder).has_room(MIB // 2, MIB // 2) is False
        assert limits.of_holder(holder).held == MIB // 4


def test_what_is_booked_besides_bodies():
    """It takes of the same room, and is no buffered body."""
    limits = limits_of()
    booking = limits.of("a").booking()
    booking.charge(MIB // 4)
    assert (limits.held, limits.overhead, limits.buffered) == (MIB // 4, MIB // 4, 0)
    assert not booking.take(1, 0)
    Booked(booking, 0, MIB // 4).release()
    assert (limits.held, limits.overhead, booking.address.held) == (0, 0, 0)


def test_names():
    """A booking stays while the name stays; a holder is the same for all addresses."""
    limits = limits_of()
    booking = limits.of("a").booking()
    assert booking.under("") is booking
    other = booking.under("x")
    assert (other.name, other.address, other.owner) == ("x", booking.address, other.holder)
    assert booking.owner is booking.address
    assert limits.of("b").booking("x").holder is other.holder
    assert repr(other) == "<Booking <AddressUsage a, 0 connections, 0 bytes>, <HolderUsage x, 0 bytes>>"


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("10.0.0.1", "10.0.0.2", False),
        (silent_proxy("2001:db8::1"), "2001:db8::2", True),
        (silent_proxy("10.0.0.1"), "10.0.0.1", True),
        (silent_proxy("10.0.0.1"), silent_proxy("10.0.0.2"), False),
    ],
)
def test_a_site_is_one_address(one, other, are_one):
    """Of IPv6 the first 64 bits name it: whoever has one address there has all of them."""
    limits = limits_of(max_connections_per_address=1)
    kept = limits.of(one)
    assert kept.admit()
    assert limits.of(other).admit() is not are_one


def test_addresses():
    """One account each, for as long as anybody holds it; those without an address have nothing in common."""
    limits = limits_of()
    usage = limits.of("a")
    assert limits.of("a") is usage
    assert repr(usage) == "<AddressUsage a, 0 connections, 0 bytes>"
    assert limits.of("") is not limits.of("")
    del usage
    gc.collect()
    assert repr(limits) == "<AddressLimits of 0 addresses, 0 bytes buffered>"


def test_connections_of_an_address():
    """As many as it may have; a UNIX socket's peers have no address, and only the limit in all holds for them."""
    limits = limits_of(max_connections_per_address=2)
    usage, nobody = limits.of("a"), limits.of("")
    assert [usage.admit() for _ in range(3)] == [True, True, False]
    assert limits.of("b").admit()
    assert all(nobody.admit() for _ in range(3))


@pytest.mark.parametrize("address", ["10.0.0.1", "2001:db8::1"])
def test_an_address_that_stands_for_many(address: str):
    """A gateway of ours: it is bounded by what all have, and each of its holders by its own share."""
    settings = TransportSettings(max_buffered_mib=1, max_connections_per_address=1)
    limits = AddressLimits(settings, {address}.__contains__)
    gateway, near = limits.of(address), limits.of("2001:db8::2")
    assert all(gateway.admit() for _ in range(3))
    assert [near.admit() for _ in range(2)] == [True, False]
    one, other, third = (gateway.booking(holder) for holder in "xyz")
    assert one.take(MIB // 4, 0)
    assert not one.take(1, 0), "the share of a holder"
    assert other.take(MIB // 4, 0)
    assert not other.is_high
    assert third.take(MIB // 4, 0)
    assert third.is_high
    assert not gateway.booking().take(MIB // 2, 0), "the room of all"
    assert limits.of(address) is gateway
