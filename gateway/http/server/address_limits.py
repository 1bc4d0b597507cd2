"""What each address has open with a listener: connections, and bytes of bodies; so that none takes it all."""

from __future__ import annotations

from weakref import WeakValueDictionary

from gateway.http.server.settings import TransportSettings


class AddressLimits:
    """The accounts of all addresses.

    ``buffered``: bytes of bodies that have come and that somebody still needs: of a whole body until it is
    answered, of a streamed one until its reader has consumed them. Streams over HTTP/1.1 are not counted.
    ``most``: so many may there be. ``share``: so many of them may be one address's.
    """

    __slots__ = ("_by_address", "buffered", "most", "most_connections", "share")

    def __init__(self, settings: TransportSettings) -> None:
        self.buffered = 0
        self.most = settings.max_buffered_mib << 20
        self.share = self.most * settings.max_buffered_percent_per_address // 100
        self.most_connections = settings.max_connections_per_address
        # An account lives for as long as somebody holds it.
        self._by_address: WeakValueDictionary[str, AddressUsage] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"<AddressLimits of {len(self._by_address)} addresses, {self.buffered} bytes buffered>"

    def of(self, address: str) -> AddressUsage:
        """Return the account of ``address``; without one everybody is somebody else."""
        account = self._by_address.get(address)
        if account is None:
            account = AddressUsage(self, address)
            if address:
                self._by_address[address] = account
        return account


class AddressUsage:
    """What one address has. ``connections``: those before their handshake, too.

    ``held``: bytes of its bodies. Above ``high`` of them it is read on only as its requests are answered.
    """

    __slots__ = ("__weakref__", "_accounts", "address", "connections", "held", "high")

    def __init__(self, accounts: AddressLimits, address: str) -> None:
        self._accounts, self.address = accounts, address
        self.connections = self.held = 0
        self.high = accounts.share // 2

    def __repr__(self) -> str:
        whose = self.address or "of nobody known"
        return f"<AddressUsage {whose}, {self.connections} connections, {self.held} bytes>"

    def admit(self) -> bool:
        """Count one more connection, if it is within the limit, and tell whether it is.

        Only the limit in all holds for those without an address.
        """
        if self.address and self.connections >= self._accounts.most_connections:
            return False
        self.connections += 1
        return True

    def has_room(self, size: int, largest: int) -> bool:
        """Whether ``size`` more bytes may be buffered; one body, of ``largest``, always may."""
        accounts, held = self._accounts, self.held + size
        return accounts.buffered + size <= accounts.most and (held <= accounts.share or held <= largest)

    def take(self, size: int, largest: int) -> bool:
        """Book ``size`` more bytes if there is room for them, and tell whether there was."""
        if not self.has_room(size, largest):
            return False
        self.hold(size)
        return True

    def hold(self, size: int) -> None:
        """Book ``size`` more bytes, for which there is room."""
        self.held += size
        self._accounts.buffered += size

    def give(self, size: int) -> None:
        """Strike out ``size`` bytes."""
        self.held -= size
        self._accounts.buffered -= size
