"""Choosing a member of a pool: what choosers see of members, and what pools see of choosers.

The seam: a pool asks ``routing.pools.choosing.chooser`` for the Picker of an endpoint's ``load_balancing``
and calls ``pick`` for each attempt. ``routing.pools.ewma.MemberLoad`` is a Candidate: a member's class may
derive from it, or hand its values on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

PENALTY: Final = 1e6
"""What a penalty adds to a cost: with it a member comes after all others (Envoy's figure)."""


class Candidate(Protocol):
    """One member, as those see it that choose."""

    @property
    def name(self) -> str:
        """What it is called: its address and port. A hash places it by this."""
        ...

    @property
    def weight(self) -> float:
        """Its share beside the others', as the policy has it; above 0, and fixed while the pool is."""
        ...

    @property
    def zone(self) -> str:
        """Where in its region it is; empty: not known."""
        ...

    @property
    def warmth(self) -> float:
        """How much of its share it gets by now (slow start): above 0, 1 when it is warm."""
        ...

    @property
    def active(self) -> int:
        """Requests under way at it."""
        ...

    @property
    def cost(self) -> float:
        """What one more request costs there: peak-EWMA latency times requests under way, by weight.

        ``PENALTY`` and above: it wants no requests now, while there are others.
        """
        ...

    def passed_over(self) -> None:
        """Another was taken, to which it was compared by cost."""
        ...


M = TypeVar("M", bound=Candidate)


class Picker(Protocol):
    """One way to choose. It may remember who the members are, and is told when they change."""

    def pick(self, members: Sequence[M], is_usable: Callable[[M], bool], key: bytes | None) -> M | None:
        """Return the member for a request; None: none is usable.

        Args:
            members: all of the pool, the same tuple until the pool changes. It is told by the identity.
            is_usable: whether a member may be chosen now: it is well, and this request has not failed there.
            key: what a hash goes by; None: the request has none, or the policy needs none.
        """
        ...
