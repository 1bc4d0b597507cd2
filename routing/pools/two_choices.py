"""Of two members drawn by weight, the one that costs less (Mitzenmacher 2001)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.core.clock import Chance
from routing.pools.picking import M, Picker


class TwoChoices:
    """Draws among the members that may be chosen, and remembers nothing."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def __repr__(self) -> str:
        return "<TwoChoices>"

    def pick(self, members: Sequence[M], is_usable: Callable[[M], bool], key: bytes | None) -> M | None:  # noqa: ARG002
        """Return the cheaper of two."""
        usable = [each for each in members if is_usable(each)]
        if len(usable) < 2:
            return usable[0] if usable else None
        first = usable.pop(int(self._chance.random() * len(usable)))
        second = usable[int(self._chance.random() * len(usable))]
        return first if first.cost <= second.cost else second


_: type[Picker] = TwoChoices
