"""What each address has open with a listener: connections and bytes of bodies, each within its limit."""

from __future__ import annotations

from weakref import WeakValueDictionary

from gateway.http.server.settings import TransportSettings


class AddressLimits:
    """What all addresses use together, and the limits.

    ``buffered``: bytes of bodies that have come and are still needed: of a whole body until it is
    answered, of a streamed one until its reader has consumed them. Streams over HTTP/1.1 are not counted.
    ``most``: the limit of ``buffered``. ``share``: the limit of one address.
    """

    __slots__ = ("_by_address", "buffered", "most", "most_connections", "share")

    def __init__(self, settings: TransportSettings) -> None:
        self.buffered = 0
        self.most = settings.max_buffered_mib << 20
        self.share = self.most * settings.max_buffered_percent_per_address // 100
        self.most_connections = settings.max_connections_per_address
        # A usage is forgotten when no connection holds it any more.
        self._by_address: WeakValueDictionary[str, AddressUsage] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"<AddressLimits of {len(self._by_address)} addresses, {self.buffered} bytes buffered>"

    def of(self, address: str) -> AddressUsage:
        """Return what ``address`` uses; a connection without an address (``""``) gets a usage of its own."""
        usage = self._by_address.get(address)
        if usage is None:
            usage = AddressUsage(self, address)
            if address:
                self._by_address[address] = usage
        return usage


class AddressUsage:
    """What one address uses.

    ``connections``: open ones, including those whose handshake is not complete. ``held``: buffered bytes of
    its bodies. While they are more than ``high``, more is read only as its requests are answered.
    """

    __slots__ = ("__weakref__", "_limits", "address", "connections", "held", "high")

    def __init__(self, limits: AddressLimits, address: str) -> None:
        self._limits, self.address = limits, address
        self.connections = self.held = 0
        self.high = limits.share // 2

    def __repr__(self) -> str:
        whose = self.address or "without an address"
        return f"<AddressUsage {whose}, {self.connections} connections, {self.held} bytes>"

    def admit(self) -> bool:
        """Count one more connection if the limit allows it; return whether it does.

        Connections without an address have no limit here; the listener's limit of all connections holds.
        """
        if self.address and self.connections >= self._limits.most_connections:
            return False
        self.connections += 1
        return True

    def has_room(self, size: int, largest: int) -> bool:
        """Whether ``size`` more bytes may be buffered; one body, of ``largest``, always may."""
        limits, held = self._limits, self.held + size
        return limits.buffered + size <= limits.most and (held <= limits.share or held <= largest)

    def take(self, size: int, largest: int) -> bool:
        """Count ``size`` more bytes if there is room for them; return whether there was."""
        if not self.has_room(size, largest):
            return False
        self.hold(size)
        return True

    def hold(self, size: int) -> None:
        """Count ``size`` more bytes, for which there is room."""
        self.held += size
        self._limits.buffered += size

    def give(self, size: int) -> None:
        """Count ``size`` bytes less."""
        self.held -= size
        self._limits.buffered -= size
