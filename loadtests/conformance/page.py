"""The page of results: counts by area, then every check with a column for each server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROSE: Final = Path(__file__).with_name("prose")
VERDICTS: Final = ("pass", "fail", "unsupported", "n/a")
_REASON_SIGNS: Final = 160


@dataclass(frozen=True, slots=True)
class Column:
    """The results of one server: what was installed, the run's details, counts by verdict, each check."""

    what: str
    run: Mapping[str, Any]
    counts: Mapping[str, int]
    checks: Sequence[Mapping[str, Any]]


def render(columns: Mapping[str, Column]) -> str:
    """Return the page, Markdown. What the failures mean is written by hand in ``prose``."""
    parts = [
        (PROSE / "introduction.md").read_text(),
        _servers(columns),
        _areas(columns),
        (PROSE / "failures.md").read_text(),
        _checks(columns),
        _reasons(columns),
    ]
    return "\n".join(part.strip() + "\n" for part in parts)


def _servers(columns: Mapping[str, Column]) -> str:
    date = next(iter(columns.values())).run["date"][:10]
    rows = [
        [name, column.run["server"], column.what, *(str(column.counts[verdict]) for verdict in VERDICTS)]
        for name, column in columns.items()
    ]
    header = ["", "calls itself", "installed from", *VERDICTS]
    return f"## Results of {date}\nWritten by `make conformance`.\n\n{_table(header, rows)}"


def _areas(columns: Mapping[str, Column]) -> str:
    rows = []
    for area in _in_order(columns, "area"):
        row = [area]
        for column in columns.values():
            found = [check["verdict"] for check in column.checks if check["area"] == area]
            row.append(" · ".join(str(found.count(verdict)) for verdict in VERDICTS))
        rows.append(row)
    return f"{' · '.join(VERDICTS)}:\n\n{_table(['area', *columns], rows)}"


def _checks(columns: Mapping[str, Column]) -> str:
    by_name = {name: {check["id"]: check for check in column.checks} for name, column in columns.items()}
    rows = []
    for identifier in _in_order(columns, "id"):
        found = [checks[identifier] for checks in by_name.values()]
        words = [
            f"**{check['verdict']}**" if check["verdict"] == "fail" else check["verdict"] for check in found
        ]
        rows.append([f"`{identifier}`", _cell(found[0]["title"]), _cell(found[0]["clause"]), *words])
    return f"## Every check\n{_table(['check', 'rule', 'clause', *columns], rows)}"


def _reasons(columns: Mapping[str, Column]) -> str:
    parts = ["## Why a check failed"]
    for name, column in columns.items():
        rows = [
            [f"`{check['id']}`", _cell(check["reason"][:_REASON_SIGNS])]
            for check in column.checks
            if check["verdict"] == "fail"
        ]
        parts.append(
            f"### {name}\n{_table(['check', 'what was found'], rows) if rows else 'Nothing failed.'}"
        )
    return "\n\n".join(parts)


def _in_order(columns: Mapping[str, Column], key: str) -> list[str]:
    return list(dict.fromkeys(check[key] for column in columns.values() for check in column.checks))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
