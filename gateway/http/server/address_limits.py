"""What each address and each holder has with a listener, in connections and in memory, within its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakValueDictionary

from gateway.core.address import network, own_address
from gateway.http.server.incoming_bodies import IncomingBodies
from gateway.http.server.settings import TransportSettings


def nobody(_peer: str) -> bool:
    """Return that a peer stands for itself alone."""
    return False


class AddressLimits:
    """What all use together, of one listener or of several, and the limits.

    ``held``: bytes that are booked: ``buffered`` ones and ``overhead``. ``buffered``: of bodies that have
    come and are still needed: of a whole body until it is answered, of a streamed one until its reader has
    consumed them. ``overhead``: of open requests besides their bodies, and of answers that are not read.
    ``most``: the limit of ``held``. ``share``, ``holder_share`` and ``strangers_share``: the limits of one
    address, of one holder, and of all together that have no holder.

    ``stands_for_many``: whether a peer is no single client, so that the limits of one address do not hold for
    it: who is behind it is known by its holders.
    """

    __slots__ = (
        "_addresses",
        "_holders",
        "_stands_for_many",
        "_strangers",
        "held",
        "holder_share",
        "incoming",
        "most",
        "most_connections",
        "overhead",
        "share",
        "strangers_share",
    )

    def __init__(self, settings: TransportSettings, stands_for_many: Callable[[str], bool] = nobody) -> None:
        self._stands_for_many = stands_for_many
        self.held = self.overhead = 0
        self.most = most = settings.max_buffered_mib << 20
        self.share = most * settings.max_buffered_percent_per_address // 100
        self.holder_share = most * settings.max_buffered_percent_per_tenant // 100
        self.strangers_share = most * settings.max_buffered_percent_of_strangers // 100
        self.most_connections = settings.max_connections_per_address
        self.incoming = IncomingBodies()
        # A usage is forgotten when no connection and no request holds it any more.
        self._addresses: WeakValueDictionary[str, AddressUsage] = WeakValueDictionary()
        self._holders: WeakValueDictionary[str, HolderUsage] = WeakValueDictionary()
        self._strangers = self.of_holder("")

    def __repr__(self) -> str:
        return f"<AddressLimits of {len(self._addresses)} addresses, {self.buffered} bytes buffered>"

    @property
    def buffered(self) -> int:
        """Bytes of bodies that have come and are still needed."""
        return self.held - self.overhead

    def of(self, address: str) -> AddressUsage:
        """Return what ``address`` uses; a connection without an address (``""``) gets a usage of its own.

        IPv6 addresses of one /64 are one address here, but for those that stand for many.
        """
        is_many = self._stands_for_many(address)
        name = own_address(address)[0] if is_many else site(address)
        usage = self._addresses.get(name)
        if usage is None:
            usage = AddressUsage(self, name, is_many=is_many)
            if name:
                self._addresses[name] = usage
        return usage

    def of_holder(self, name: str) -> HolderUsage:
        """Return what the holder ``name`` uses; ``""``: all strangers together."""
        usage = self._holders.get(name)
        if usage is None:
            usage = HolderUsage(name, self.holder_share if name else self.strangers_share)
            self._holders[name] = usage
        return usage


class HolderUsage:
    """``held``: bytes that are booked to one holder, of which it may have ``share``."""

    __slots__ = ("__weakref__", "held", "name", "share")

    def __init__(self, name: str, share: int) -> None:
        self.name, self.share, self.held = name, share, 0

    def __repr__(self) -> str:
        return f"<HolderUsage {self.name or 'strangers'}, {self.held} bytes>"


class AddressUsage:
    """What one address uses.

    ``connections``: open ones, including those whose handshake is not complete. ``held``: bytes that are
    booked to it. While they are more than ``high``, more is read only as its requests are answered.
    ``is_many``: it stands for many, and only the limits of all together are its.
    """

    __slots__ = ("__weakref__", "_limits", "address", "connections", "held", "high", "is_many", "share")

    def __init__(self, limits: AddressLimits, address: str, *, is_many: bool = False) -> None:
        self._limits, self.address, self.is_many = limits, address, is_many
        self.connections = self.held = 0
        self.share = limits.most if is_many else limits.share
        self.high = self.share // 2

    def __repr__(self) -> str:
        whose = self.address or "without an address"
        return f"<AddressUsage {whose}, {self.connections} connections, {self.held} bytes>"

    def admit(self) -> bool:
        """Count one more connection if the limit allows it; return whether it does.

        Connections without an address have no limit here, nor those of one that stands for many; the
        listener's limit of all connections holds.
        """
        is_limited = self.address and not self.is_many
        if is_limited and self.connections >= self._limits.most_connections:
            return False
        self.connections += 1
        return True

    def booking(self, holder: str = "") -> Booking:
        """Return where memory of this address and of ``holder`` is booked."""
        return Booking(self._limits, self, self._limits.of_holder(holder))


class Booking:
    """In whose names memory is booked: an address's and a holder's, each of which has its share."""

    __slots__ = ("_limits", "address", "holder", "name")

    def __init__(self, limits: AddressLimits, address: AddressUsage, holder: HolderUsage) -> None:
        self._limits, self.address, self.holder = limits, address, holder
        self.name = holder.name

    def __repr__(self) -> str:
        return f"<Booking {self.address!r}, {self.holder!r}>"

    def under(self, holder: str) -> Booking:
        """Return the booking of the same address under the name of ``holder``."""
        return self if holder == self.name else self.address.booking(holder)

    @property
    def incoming(self) -> IncomingBodies:
        """The large bodies that are on their way, of all."""
        return self._limits.incoming

    @property
    def owner(self) -> AddressUsage | HolderUsage:
        """The holder where there is one, else the address."""
        return self.holder if self.name else self.address

    @property
    def held_in_all(self) -> int:
        """Bytes that are booked, in all names together."""
        return self._limits.held

    @property
    def is_high(self) -> bool:
        """Whether the address has so much that more is read only as its requests are answered."""
        return self.address.held > self.address.high

    def has_room(self, size: int, largest: int) -> bool:
        """Whether ``size`` more bytes may be booked; one body, of ``largest``, always may.

        Where others that have more are in the way, bodies of theirs that are on their way are given up.
        """
        limits, address, holder = self._limits, self.address, self.holder
        held = address.held + size
        if (
            held > address.share
            and held > largest
            and not self._make_room(held - address.share, size, address)
        ):
            return False
        held = holder.held + size
        if held > holder.share and held > largest and not self._make_room(held - holder.share, size, holder):
            return False
        missing = limits.held + size - limits.most
        return missing <= 0 or self._make_room(missing, size)

    def _make_room(self, missing: int, size: int, within: AddressUsage | HolderUsage | None = None) -> bool:
        return self._limits.incoming.make_room(missing, size, self, within)

    def take(self, size: int, largest: int) -> bool:
        """Book ``size`` more bytes if there is room for them; return whether there was."""
        if not self.has_room(size, largest):
            return False
        self.hold(size)
        return True

    def hold(self, size: int) -> None:
        """Book ``size`` more bytes, for which there is room."""
        self.address.held += size
        self.holder.held += size
        self._limits.held += size

    def give(self, size: int) -> None:
        """Book ``size`` bytes less."""
        self.address.held -= size
        self.holder.held -= size
        self._limits.held -= size

    def charge(self, size: int) -> None:
        """Book ``size`` more bytes that are no body's; less, where it is negative."""
        self.hold(size)
        self._limits.overhead += size


class Booked(NamedTuple):
    """What is booked for one request: ``size`` bytes of its body, and ``overhead`` besides."""

    booking: Booking
    size: int
    overhead: int

    def release(self) -> None:
        """Book nothing of it any more."""
        self.booking.give(self.size)
        self.booking.charge(-self.overhead)


def site(peer: str) -> str:
    """Return what counts as one address: of IPv6 the /64, of IPv4 in IPv6 the IPv4 address."""
    return network(own_address(peer)[0]) or peer
