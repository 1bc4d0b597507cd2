"""What each address has open with a listener."""

from __future__ import annotations

import gc

from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.settings import TransportSettings

MIB = 1 << 20


def accounts_of(**settings: int) -> AddressLimits:
    return AddressLimits(TransportSettings(max_buffered_mib=1, **settings))


def test_room_in_all():
    """To the byte, whoever asks."""
    accounts = accounts_of(max_buffered_percent_per_address=100)
    one, other = accounts.of("a"), accounts.of("b")
    assert one.take(1000, MIB)
    assert other.has_room(MIB - 1000, MIB)
    assert not other.has_room(MIB - 999, MIB)
    one.give(1000)
    assert other.has_room(MIB, MIB)


def test_the_share_of_one():
    """Half by default, and no less than one body; nobody else has less for it."""
    accounts = accounts_of()
    one, other = accounts.of("a"), accounts.of("b")
    assert one.has_room(MIB * 3 // 4, MIB * 3 // 4)
    assert one.take(MIB // 2, 1000)
    assert not one.take(1, 1000)
    assert one.held == accounts.buffered == MIB // 2
    assert other.take(MIB // 2, 1000)


def test_addresses():
    """One account each, for as long as anybody holds it; those without an address have nothing in common."""
    accounts = accounts_of()
    account = accounts.of("a")
    assert accounts.of("a") is account
    assert repr(account) == "<AddressUsage a, 0 connections, 0 bytes>"
    assert accounts.of("") is not accounts.of("")
    del account
    gc.collect()
    assert repr(accounts) == "<AddressLimits of 0 addresses, 0 bytes buffered>"


def test_connections_of_an_address():
    """As many as it may have; a UNIX socket's peers have no address, and only the limit in all holds for them."""
    accounts = accounts_of(max_connections_per_address=2)
    account, nobody = accounts.of("a"), accounts.of("")
    assert [account.admit() for _ in range(3)] == [True, True, False]
    assert accounts.of("b").admit()
    assert all(nobody.admit() for _ in range(3))
