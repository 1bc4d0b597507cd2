"""Routes with conditions, by what can be looked up of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from routing.conditions import Conditions, Facts, Shelf, shelf_reader
from routing.policy import Policy, Route

_Place = tuple[Shelf, object]

_NOWHERE: Final[tuple[_Place, ...]] = ((("none", 0), None),)


class Shelves:
    """All routes of a policy that have conditions, in memory proportional to the policy.

    Each stands under that of its conditions which it shares with the fewest others. A request looks at what
    stands under its own values: one step for each header, each length of a prefix and of a network, and one
    for each route found there.

    Raises:
        ValueError: for a network or a regex that is none.
    """

    def __init__(self, policy: Policy) -> None:
        self._conditions = {
            position: Conditions(route)
            for position, route in enumerate(policy.routes)
            if route.match.is_conditional
        }
        self._always: list[int] = []
        shelves: dict[Shelf, dict[object, list[int]]] = {}
        for position, places in placed(self._conditions).items():
            for shelf, value in places:
                if places is _NOWHERE:
                    self._always.append(position)
                else:
                    shelves.setdefault(shelf, {}).setdefault(value, []).append(position)
        self._shelves: Sequence[tuple[Callable[[Facts], tuple[object, ...]], dict[object, list[int]]]] = [
            (shelf_reader(shelf), values) for shelf, values in shelves.items()
        ]

    def __repr__(self) -> str:
        return f"<Shelves of {len(self._conditions)} routes>"

    def first(self, facts: Facts, end: int) -> Route | None:
        """Return the first route that takes a request, of those before position ``end``."""
        found = self._always
        for read, values in self._shelves:
            for value in read(facts):
                positions = values.get(value)
                if positions is not None:
                    found = found + positions if found else positions
        for position in sorted(set(found)):
            if position >= end:
                break
            conditions = self._conditions[position]
            if conditions.hold(facts):
                return conditions.route
        return None

    def all(self, end: int) -> Iterator[Conditions]:
        """Yield the conditions of all routes before position ``end``, in order."""
        return (each for position, each in self._conditions.items() if position < end)


def placed(conditions: dict[int, Conditions]) -> dict[int, tuple[_Place, ...]]:
    """Return for each position where its route stands."""
    options = {position: tuple(each.lookups()) for position, each in conditions.items()}
    shared = Counter(place for ways in options.values() for way in ways for place in way)
    return {
        position: min(ways, key=lambda way: max(shared[place] for place in way), default=_NOWHERE)
        for position, ways in options.items()
    }
