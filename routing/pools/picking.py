"""Choosing a member of a pool: what choosers see of members, and what pools see of choosers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar


class Candidate(Protocol):
    """One member, as those see it that choose."""

    @property
    def name(self) -> str:
        """What it is called: its address and port. A hash places it by this."""
        ...

    @property
    def weight(self) -> float:
        """Its share beside the others', slow start included; above 0."""
        ...

    @property
    def active(self) -> int:
        """Requests under way at it."""
        ...

    @property
    def cost(self) -> float:
        """What one more request costs there: peak-EWMA latency times requests under way, with any penalty."""
        ...


M = TypeVar("M", bound=Candidate)


class Picker(Protocol):
    """One way to choose. It may remember who the members are, and is told when they change."""

    def pick(self, members: Sequence[M], is_usable: Callable[[M], bool], key: bytes | None) -> M | None:
        """Return the member for a request; None: none is usable.

        Args:
            members: all of the pool, the same tuple until the pool changes.
            is_usable: whether a member may be chosen now: it is well, and this request has not failed there.
            key: what a hash goes by; None: the request has none, or the policy needs none.
        """
        ...
