"""An endpoint that gets all that it can carry leaves the rest to the next (``capacity_rps``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from routing.policy import Policy
from routing.preference import Order
from routing.rules.locality import weights_of


class Fullness(Protocol):
    """What is measured of endpoints."""

    def is_available(self, endpoint: str) -> bool:
        """Whether a request sent there now would be let through."""
        ...

    def is_full(self, endpoint: str) -> bool:
        """Whether it gets from this process as much as its capacity allows."""
        ...


def within_capacity(
    order: Order, policy: Policy, own_region: str, names: Sequence[str], view: Fullness
) -> Order:
    """Return ``order``, or what minds the capacities of the endpoints ``names`` where the policy has some."""
    if all(policy.endpoints[name].capacity_rps is None for name in names):
        return order
    if weights_of(policy, own_region) is None:
        return Spillover(order, view)
    return Spillover(order, view, {name: policy.endpoints[name].region for name in names})


class Spillover:
    """Puts endpoints at their capacity behind the others, and keeps either order.

    Where all are at their capacity nothing changes: nobody is refused for it. The next may be in another
    region, as when one fails; but of regions with weights each keeps its part.

    Args:
        inner: the order of the policy's locality.
        view: knows who is at capacity.
        regions: endpoint → its region, where weights divide the requests among regions; else None.
    """

    def __init__(self, inner: Order, view: Fullness, regions: Mapping[str, str] | None = None) -> None:
        self._inner, self._view, self._regions = inner, view, regions

    def __repr__(self) -> str:
        return f"<Spillover of {self._inner!r}>"

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``names``, those with room first."""
        ordered = self._inner.order(names)
        view = self._view
        chosen = next(filter(view.is_available, ordered), None)
        if chosen is None or len(ordered) < 2 or not view.is_full(chosen):
            return ordered
        end = len(ordered) if self._regions is None else _same(ordered, self._regions)
        full = frozenset(filter(view.is_full, ordered[:end]))
        head = sorted(ordered[:end], key=full.__contains__)
        return (*head, *ordered[end:])


def _same(ordered: tuple[str, ...], regions: Mapping[str, str]) -> int:
    """Return how many of the first are in the region of the first."""
    region = regions[ordered[0]]
    return next((number for number, name in enumerate(ordered) if regions[name] != region), len(ordered))
