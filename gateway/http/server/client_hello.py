"""A TLS context that tells clients why they are refused: for a certificate, or for their protocols.

Who wants protocols that we do not have is refused (RFC 7301, 3.2). OpenSSL would go on as if nothing were
wanted, and Python does not let us say otherwise: what the client offers is read from its ClientHello, and
refused where Python lets a server refuse a handshake, when it looks at the name that the client wants. A
client that offers nothing is served.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any, Final

_NO_APPLICATION_PROTOCOL: Final = 120
_MOST: Final = 1 << 16
"""Bytes of a ClientHello at most: OpenSSL takes less."""

_OF_CLIENTS_CERTIFICATE: Final = frozenset({"PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED"})
"""Why a handshake fails that wants the client's certificate: the client can only know by the alert."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_ALPN: Final = 16
_RECORD_HEAD: Final = 5
_MESSAGE_HEAD: Final = 4
_VERSION_AND_RANDOM: Final = 34


class AlpnContext(ssl.SSLContext):
    """Refuses with the alert no_application_protocol, as soon as the ClientHello has come."""

    protocols: frozenset[bytes] = frozenset()
    """Those that are served, set by ``set_alpn_protocols``."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Serve these, the best first."""
        names = list(alpn_protocols)
        self.protocols = frozenset(name.encode() for name in names)
        self.sslobject_class = _Connection
        self.sni_callback = _check
        super().set_alpn_protocols(names)

    def wrap_bio(self, incoming: ssl.MemoryBIO, *args: Any, **options: Any) -> ssl.SSLObject:
        """Return a connection whose bytes come by ``incoming``."""
        connection = super().wrap_bio(incoming, *args, **options)
        if isinstance(connection, _Connection):
            connection.begin(incoming)
        return connection


class _Connection(ssl.SSLObject):
    """Keeps what comes until its ClientHello has been looked at."""

    _incoming: ssl.MemoryBIO | None = None
    _refusal: ssl.SSLError | None = None
    hello = b""
    is_refused = False

    def begin(self, incoming: ssl.MemoryBIO) -> None:
        self._incoming = incoming

    def end(self) -> None:
        self._incoming, self.hello = None, b""

    def do_handshake(self) -> None:
        if (incoming := self._incoming) is not None and len(self.hello) < _MOST:
            # OpenSSL has taken all that came before, so this is what is new.
            came = incoming.read()
            incoming.write(came)
            self.hello += came
        if self._refusal is not None:
            raise self._refusal
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if not self.is_refused and error.reason not in _OF_CLIENTS_CERTIFICATE:
                raise
            # An event loop that is told of the failure sends nothing more, so not the alert either. The peer
            # closes when it has the alert; if not, the handshake's time limit ends the connection.
            self._refusal = error
            raise ssl.SSLWantReadError from None


def _check(connection: ssl.SSLObject, _name: str | None, context: ssl.SSLContext) -> int | None:
    if not isinstance(connection, _Connection) or not isinstance(context, AlpnContext):
        return None
    offered = offered_protocols(connection.hello)
    connection.end()
    connection.is_refused = bool(offered) and context.protocols.isdisjoint(offered)
    return _NO_APPLICATION_PROTOCOL if connection.is_refused else None


def offered_protocols(received: bytes) -> tuple[bytes, ...]:
    """Return the protocols that a ClientHello offers; ``received`` is what came on the connection.

    None where it is not whole, or not one: OpenSSL has its own word for that.
    """
    hello = b""
    while len(received) >= _RECORD_HEAD and received[0] == _HANDSHAKE:
        size = _RECORD_HEAD + int.from_bytes(received[3:5], "big")
        hello, received = hello + received[_RECORD_HEAD:size], received[size:]
    if hello[:1] != bytes([_CLIENT_HELLO]):
        return ()
    rest = hello[_MESSAGE_HEAD : _MESSAGE_HEAD + int.from_bytes(hello[1:4], "big")][_VERSION_AND_RANDOM:]
    for size in (1, 2, 1):
        # The session, the ciphers, the compressions.
        rest = _split(rest, size)[1]
    extensions = _split(rest, 2)[0]
    while extensions:
        kind = int.from_bytes(extensions[:2], "big")
        value, extensions = _split(extensions[2:], 2)
        if kind == _ALPN:
            return _names(_split(value, 2)[0])
    return ()


def _names(listed: bytes) -> tuple[bytes, ...]:
    names = []
    while listed:
        name, listed = _split(listed, 1)
        names.append(name)
    return tuple(names)


def _split(data: bytes, size: int) -> tuple[bytes, bytes]:
    """Return the value whose length stands in the first ``size`` bytes, and what follows it."""
    ends = size + int.from_bytes(data[:size], "big")
    return data[size:ends], data[ends:]
