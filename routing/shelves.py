"""Routes with conditions, by what can be looked up of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from routing.conditions import EXPRESSION, Conditions, Facts, Shelf, shelf_reader
from routing.policy import Policy, Route

_Place = tuple[Shelf, object]
_Way = tuple[_Place, ...]
"""All places of one route: a request that it takes is found at one of them."""

_NOWHERE: Final[_Way] = ()

MOST_EXPRESSIONS: Final = 64
"""Of one header, that are tried together."""

_FEW: Final = 4
"""So many routes in one place are tried sooner than an expression is looked up."""


class Shelves:
    """All routes of a policy that have conditions, in memory proportional to the policy.

    Each stands under that of its conditions which it shares with the fewest others. A request looks at what
    stands under its own values: one step for each header, each length of a prefix and of a network, one for
    all expressions of a header, and one for each route found there.

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
        self._takes: dict[int, Callable[[Facts], bool]] = {}
        shelves: dict[Shelf, dict[object, list[int]]] = {}
        for position, way in placed(self._conditions).items():
            self._takes[position] = self._conditions[position].beside(way)
            if way is _NOWHERE:
                self._always.append(position)
            for shelf, value in way:
                shelves.setdefault(shelf, {}).setdefault(value, []).append(position)
        self._shelves: Sequence[tuple[Callable[[Facts], tuple[object, ...]], dict[object, list[int]]]] = [
            (shelf_reader(shelf, values), values) for shelf, values in shelves.items()
        ]

    def __repr__(self) -> str:
        return f"<Shelves of {len(self._conditions)} routes>"

    def first(self, facts: Facts, end: int) -> Route | None:
        """Return the first route that takes a request, of those before position ``end``."""
        found, is_sorted = self._always, True
        for read, values in self._shelves:
            for value in read(facts):
                positions = values.get(value)
                if positions is not None:
                    found, is_sorted = (found + positions, False) if found else (positions, is_sorted)
        takes = self._takes
        for position in found if is_sorted else sorted(set(found)):
            if position >= end:
                break
            if takes[position](facts):
                return self._conditions[position].route
        return None

    def all(self, end: int) -> Iterator[Conditions]:
        """Yield the conditions of all routes before position ``end``, in order."""
        return (each for position, each in self._conditions.items() if position < end)


def placed(conditions: dict[int, Conditions]) -> dict[int, _Way]:
    """Return for each position where its route stands; nowhere: it is tried on every request."""
    options = {position: tuple(each.lookups()) for position, each in conditions.items()}
    shared = Counter(place for ways in options.values() for way in ways for place in way)
    found = {position: _best(ways, shared) for position, ways in options.items()}
    chosen = {place for way in found.values() for place in way}
    crowd = Counter(shelf for shelf, _ in chosen if shelf[0] == EXPRESSION)
    crowded = {shelf for shelf, count in crowd.items() if count > MOST_EXPRESSIONS}
    if not crowded:
        return found
    # Too many to be tried together: what else there is decides, as if they could not be looked up.
    return {
        position: _best([way for way in ways if way[0][0] not in crowded], shared)
        for position, ways in options.items()
    }


def _best(ways: Sequence[_Way], shared: Counter[_Place]) -> _Way:
    def crowd(way: _Way) -> int:
        most = max(shared[place] for place in way)
        return max(most, _FEW) if way[0][0][0] == EXPRESSION else most

    return min(ways, key=crowd, default=_NOWHERE)
