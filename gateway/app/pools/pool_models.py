"""What the members of one endpoint are known to hold, together and each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, Protocol

from routing.holdings import Holdings

_SHOWN: Final = 32
"""Models that are shown of one member; of the others there is the number."""


class Extent(Enum):
    """How many members may hold a model; a member of which nothing is known may."""

    EACH = "each"
    SOME = "some"
    NONE = "none"


class Holder(Protocol):
    """A member."""

    @property
    def holdings(self) -> Holdings | None:
        """What it is known to hold; None: nothing is known."""
        ...


class ModelChanges:
    """Counts how often something has changed that is known of models, for whoever remembers what follows."""

    def __init__(self) -> None:
        self.number = 0

    def __repr__(self) -> str:
        return f"<ModelChanges {self.number}>"

    def note(self) -> None:
        """Take note of a change."""
        self.number += 1


class PoolModels:
    """What an endpoint holds: by the policy's list, else by what its members' indexes say.

    Args:
        listed: the list of the policy; empty: none.
        members: returns its members.
        changes: counts whatever changes of these.
    """

    def __init__(
        self, listed: Sequence[str], members: Callable[[], Sequence[Holder]], changes: ModelChanges
    ) -> None:
        self.listed = Holdings.listed(listed) if listed else None
        self._members, self._changes = members, changes
        self._number = -1
        self._different: tuple[Holdings | None, ...] = ()

    def __repr__(self) -> str:
        source = "listed" if self.listed is not None else f"{len(self._distinct)} different members"
        return f"<PoolModels {source}>"

    @property
    def are_different(self) -> bool:
        """Whether it may matter for a model which member is asked."""
        return len(self._distinct) > 1

    @property
    def _distinct(self) -> tuple[Holdings | None, ...]:
        if self.listed is not None:
            return (self.listed,)
        if self._number != self._changes.number:
            self._number = self._changes.number
            # Members that hold the same share one object (``IndexWatch``).
            self._different = tuple({id(each.holdings): each.holdings for each in self._members()}.values())
        return self._different

    def extent(self, model: str, version: str) -> Extent:
        """Return how many members may hold a model; of an endpoint without members each may."""
        found = {_may_hold(each, model, version) for each in self._distinct}
        if False not in found:
            return Extent.EACH
        return Extent.SOME if True in found else Extent.NONE

    def holds(self, model: str, version: str) -> bool:
        """Whether a member is known to hold a model."""
        return any(each is not None and each.has(model, version) for each in self._distinct)

    def may_hold(self, member: Holder, model: str, version: str) -> bool:
        """Whether nothing says that ``member`` lacks a model."""
        return _may_hold(self.listed if self.listed is not None else member.holdings, model, version)

    def report(self) -> dict[str, Any]:
        """Return what the policy lists, for operators."""
        return {} if self.listed is None else models_report(self.listed)


def models_report(holdings: Holdings) -> dict[str, Any]:
    """Return what is held, for operators."""
    lines = holdings.lines()
    return {"models": lines[:_SHOWN], "num_models": len(lines)}


def _may_hold(holdings: Holdings | None, model: str, version: str) -> bool:
    return holdings is None or holdings.has(model, version)
