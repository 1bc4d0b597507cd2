"""What each address has open with a listener."""

from __future__ import annotations

import gc

from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.settings import TransportSettings

MIB = 1 << 20


def limits_of(**settings: int) -> AddressLimits:
    return AddressLimits(TransportSettings(max_buffered_mib=1, **settings))


def test_room_in_all():
    """To the byte, whoever asks."""
    limits = limits_of(max_buffered_percent_per_address=100)
    one, other = limits.of("a"), limits.of("b")
    assert one.take(1000, MIB)
    assert other.has_room(MIB - 1000, MIB)
    assert not other.has_room(MIB - 999, MIB)
    one.give(1000)
    assert other.has_room(MIB, MIB)


def test_the_share_of_one():
    """Half by default, and no less than one body; nobody else has less for it."""
    limits = limits_of()
    one, other = limits.of("a"), limits.of("b")
    assert one.has_room(MIB * 3 // 4, MIB * 3 // 4)
    assert one.take(MIB // 2, 1000)
    assert not one.take(1, 1000)
    assert one.held == limits.buffered == MIB // 2
    assert other.take(MIB // 2, 1000)


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
