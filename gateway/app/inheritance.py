"""What a worker gets from its parent: open descriptors, and where to answer for itself."""

from __future__ import annotations

import socket

import msgspec


class Inheritance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Travels as one argument of the worker's command line.

    ``number``: which of the workers. ``sockets``: listener → descriptor of its socket. ``ready``: a pipe
    that takes one byte when the worker serves. ``lifeline``: a pipe whose end means that the parent is
    gone. ``admin``: path of the UNIX socket on which the worker tells its metrics.
    """

    number: int
    sockets: dict[str, int]
    ready: int
    lifeline: int
    admin: str

    def encode(self) -> str:
        """Return the argument."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, argument: str) -> Inheritance:
        """Read the argument.

        Raises:
            msgspec.ValidationError: it is not one that a parent wrote.
        """
        return msgspec.json.decode(argument, type=cls)

    def descriptors(self) -> tuple[int, ...]:
        """Return all descriptors that the worker must keep open."""
        return (*self.sockets.values(), self.ready, self.lifeline)

    def socket(self, listener: str) -> socket.socket | None:
        """Return the listening socket of ``listener``, if it has one."""
        descriptor = self.sockets.get(listener)
        return None if descriptor is None else socket.socket(fileno=descriptor)
