"""What a case found: rows, each one figure with its target, and what else is worth keeping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, with its range; four digits are kept."""

    median: float
    lowest: float
    highest: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(_short(median(values)), _short(min(values)), _short(max(values)), len(values))


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to reach; without ``at_least``, what it has to stay under."""

    value: float
    at_least: bool = True

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"

    def is_reached(self, figure: float) -> bool:
        """Whether ``figure`` keeps it; a figure that is not a number never does."""
        return figure >= self.value if self.at_least else figure <= self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    ``target`` applies to the ``ratio``, ours to theirs in each round; to ``ours`` where there is no peer.
    ``note``: what has to be known to read the figure, or why it is not reached.
    """

    what: str
    unit: str
    target: Target
    ours: Spread
    peer: str = ""
    theirs: Spread | None = None
    ratio: Spread | None = None
    note: str = ""

    @classmethod
    def alone(cls, what: str, unit: str, target: Target, ours: Sequence[float], note: str = "") -> Row:
        """Return a row without a peer."""
        return cls(what=what, unit=unit, target=target, ours=Spread.of(ours), note=note)

    @classmethod
    def against(
        cls,
        peer: str,
        theirs: Sequence[float],
        *,
        what: str,
        unit: str,
        target: Target,
        ours: Sequence[float],
        note: str = "",
    ) -> Row:
        """Return a row of the same rounds of both sides."""
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        return cls(
            what=what,
            unit=unit,
            target=target,
            ours=Spread.of(ours),
            peer=peer,
            theirs=Spread.of(theirs),
            ratio=Spread.of(ratios),
            note=note,
        )

    @property
    def is_kept(self) -> bool:
        """Whether the median reaches the target."""
        return self.target.is_reached((self.ratio or self.ours).median)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one case found. ``skipped``: why it found nothing; ``details``: the figures behind the rows."""

    rows: tuple[Row, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    skipped: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether all rows are, and there are any."""
        return bool(self.rows) and all(row.is_kept for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        if self.skipped:
            return {"skipped": self.skipped, "kept": False}
        rows = [asdict(row) | {"target": str(row.target), "kept": row.is_kept} for row in self.rows]
        return {"kept": self.is_kept, "rows": rows, "details": dict(self.details)}


def spreads(values: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return every side's spread as plain values, for ``details``."""
    return {name: asdict(Spread.of(samples)) for name, samples in values.items()}


def _short(value: float) -> float:
    return float(f"{value:.4g}")
