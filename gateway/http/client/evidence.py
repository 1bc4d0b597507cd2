"""What an answer shows about the address that gave it, and what a pool does about that."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol, TypeVar

from gateway.http.client.addresses import Addresses


class Evidence(Enum):
    """Of one answer."""

    WORKS = "works"
    FAILS = "fails"
    """The endpoint behind this address is out of service."""
    NONE = "none"
    """It may have been overload, or the caller's own time that was up."""


class AtAddress(Protocol):
    """A connection."""

    @property
    def address(self) -> str:
        """Where the peer is."""
        ...


C = TypeVar("C", bound=AtAddress)


def note_answer(addresses: Addresses, connection: C, evidence: Evidence, others: Iterable[C]) -> list[C]:
    """Remember what an answer over ``connection`` shows; return those of ``others`` that are to be left.

    They are left where another address of the name may do better.
    """
    if evidence is Evidence.WORKS:
        addresses.answered(connection.address)
    elif evidence is Evidence.FAILS and addresses.leave([connection.address]):
        return [other for other in others if other.address == connection.address]
    return []
