"""What an answer shows about the address that gave it, and what a pool does about that."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol, TypeVar

from gateway.http.client.addresses import Addresses


class Evidence(Enum):
    """What one answer shows about the endpoint behind its address."""

    WORKS = "works"
    FAILS = "fails"
    """The endpoint behind this address is out of service."""
    NONE = "none"
    """The answer shows neither: the endpoint may be overloaded, or the caller's time limit was reached."""


class AtAddress(Protocol):
    """A connection whose peer's address is known."""

    @property
    def address(self) -> str:
        """The IP address of the peer."""
        ...


C = TypeVar("C", bound=AtAddress)


def note_answer(addresses: Addresses, connection: C, evidence: Evidence, others: Iterable[C]) -> list[C]:
    """Remember what an answer over ``connection`` shows about its address.

    Returns:
        Those of ``others`` that should carry no more requests: they lead to the same address, it failed, and
        the name has another address that is not known to fail.
    """
    if evidence is Evidence.WORKS:
        addresses.answered(connection.address)
    elif evidence is Evidence.FAILS and addresses.leave([connection.address]):
        return [other for other in others if other.address == connection.address]
    return []
