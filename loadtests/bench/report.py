"""The table of a run, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Console
from rich.table import Table

from loadtests.bench.results import Result, Row, Spread

COLUMNS: Final = ("case", "ours", "theirs", "ratio (min to max)", "target", "kept")
_KEPT: Final = {True: "yes", False: "no"}


def show(console: Console, results: Mapping[str, Result]) -> None:
    """Print one line per figure, and the notes beneath them."""
    table = Table(*COLUMNS, title="make bench")
    for name, result in results.items():
        for row in result.rows:
            style = None if row.is_kept else "bold"
            table.add_row(*cells(row), style=style)
        if result.skipped:
            table.add_row(name, "", "", "", "", "skipped", style="bold")
    console.print(table)
    for line in _notes(results):
        console.print(f"* {line}", highlight=False, markup=False)


def markdown(results: Mapping[str, Result], conditions: Mapping[str, str]) -> str:
    """Return the same as Markdown; ``conditions`` say when and where it was measured."""
    lines = [", ".join(f"{name} {value}" for name, value in conditions.items()), ""]
    lines += [_line(COLUMNS), _line(("---",) * len(COLUMNS))]
    for name, result in results.items():
        lines += [_line(cells(row)) for row in result.rows]
        if result.skipped:
            lines.append(_line((name, "", "", "", "", "skipped")))
    notes = [f"- {line}" for line in _notes(results)]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's text, by column."""
    theirs = f"{_number(row.theirs.median)} {row.unit} ({row.peer})" if row.theirs else ""
    ratio = f"{_number(row.ratio.median)} ({_range(row.ratio)})" if row.ratio else ""
    spread = f" ({_range(row.ours)})" if row.ratio is None and row.ours.rounds > 1 else ""
    ours = f"{_number(row.ours.median)} {row.unit}{spread}"
    target = str(row.target) if row.ratio else f"{row.target} {row.unit}"
    return row.what, ours, theirs, ratio, target, _KEPT[row.is_kept]


def _notes(results: Mapping[str, Result]) -> Iterator[str]:
    for name, result in results.items():
        if result.skipped:
            yield f"{name}: {result.skipped}"
        yield from (f"{row.what}: {row.note}" for row in result.rows if row.note)


def _range(spread: Spread) -> str:
    return f"{_number(spread.lowest)} to {_number(spread.highest)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _line(texts: tuple[str, ...]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
