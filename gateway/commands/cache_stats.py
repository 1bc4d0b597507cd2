"""`edgeway cache stats`: what the caches of a running gateway hold and how they do."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.commands.admin_call import add_admin, call_admin, decode_answer
from gateway.commands.arguments import add_command
from gateway.core.cache_report import CacheReport, LevelReport

EXAMPLES: Final = """\
  edgeway cache stats
  edgeway cache stats --watch                  again every 2 seconds; --watch 10: every 10
  edgeway cache stats --top 0 --json | jq '.levels[] | {level, hit_ratio, recent_hit_ratio}'
  EDGEWAY_ADMIN_TOKEN=$(cat token) edgeway cache stats --admin https://10.0.0.7:8002

a level's hit ratio is of its own look-ups: the second level only gets those that the first has missed. Ratios
are of all time since the start, and of the last minute. With several workers it is what all of them have
together; a minute-old worker has a minute of counts
"""
_CLEAR: Final = "\x1b[H\x1b[2J"
_WATCH_S: Final = 2.0
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def add_to(group: Any) -> None:
    """Add `edgeway cache stats`."""
    parser = add_command(
        group,
        "stats",
        _show,
        about="show what caches hold, their hit ratios and evictions",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=_WATCH_S,
        metavar="SECONDS",
        help=f"show it again and again ({_WATCH_S:g})",
    )
    parser.add_argument("--top", type=int, default=10, metavar="N", help="models and tenants to name (10)")
    parser.add_argument("--json", action="store_true", help="print what the gateway answers, for programs")
    add_admin(parser)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds >= 0.1):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds from 0.1")
    return seconds


def _show(options: argparse.Namespace) -> int:
    while True:
        answer = call_admin(options.admin, f"/cache?top={options.top}")
        if answer is None:
            return 1
        report = decode_answer(options.admin, answer, CacheReport)
        if report is None:
            return 1
        shown = answer.decode().strip() if options.json else "\n".join(lines(report))
        clears = options.watch is not None and not options.json and sys.stdout.isatty()
        print(f"{_CLEAR if clears else ''}{shown}", flush=True)
        if options.watch is None:
            return 0
        time.sleep(options.watch)


def lines(report: CacheReport) -> list[str]:
    """Return the report for people."""
    if not report.enabled:
        return ["this gateway has no cache: its settings have no `cache` (`cache: {}` has the defaults)"]
    total = sum(report.answers.values())
    workers = f", {report.processes} workers" if report.processes > 1 else ""
    head = (
        f"{percent(report.hit_ratio)} of {total} answers out of a cache ({counts(report.answers)}){workers}"
    )
    flights, refreshes = report.flights, report.refreshes
    work = (
        f"flights: {flights.get('running', 0)} under way, {flights.get('waiting', 0)} requests wait, "
        f"{flights.get('joined', 0)} have waited; early refreshes: {refreshes} under way"
    )
    gates = [f"breaker of {name}: {state}" for name, state in report.gates.items()]
    return [
        head,
        "",
        *_aligned(_levels(report.levels)),
        *(line for level in report.levels for line in _remarks(level)),
        "",
        work,
        *gates,
        *(["", *_aligned(_top(report))] if report.top else []),
    ]


def _levels(levels: Iterable[LevelReport]) -> list[tuple[str, ...]]:
    head = ("LEVEL", "HITS", "LAST MINUTE", "LOOK-UPS", "ENTRIES", "BYTES", "OF", "EVICTED")
    return [
        head,
        *(
            (
                level.level,
                percent(level.hit_ratio),
                percent(level.recent_hit_ratio),
                str(sum(level.lookups.values())),
                "" if level.entries is None else str(level.entries),
                size(level.bytes),
                size(level.max_bytes),
                "" if level.bytes is None else str(sum(level.evictions.values())),
            )
            for level in levels
        ),
    ]


def _remarks(level: LevelReport) -> list[str]:
    """Return what else there is to say of a level: nothing where nothing has happened."""
    holders = {holder or "all others": taken for holder, taken in level.holders.items()}
    named = {
        "look-ups": counts(level.lookups),
        "evicted": counts(level.evictions),
        "not kept": counts(level.lost),
        "connections closed": counts(level.closed),
        "held by": ", ".join(f"{holder} {size(taken)}" for holder, taken in holders.items()),
        "estimated hit ratio": ", ".join(f"{name} {percent(of)}" for name, of in level.estimates.items()),
    }
    if level.bytes is None:
        named["state"] = "; ".join(level.state)
    return [f"  {level.level} {name}: {text}" for name, text in named.items() if text]


def _top(report: CacheReport) -> list[tuple[str, ...]]:
    rows = [
        (row.model, row.tenant or "-", str(row.answers), percent(row.hit_ratio), counts(row.by))
        for row in report.top
    ]
    return [("MODEL", "TENANT", "ANSWERS", "HITS", "FROM"), *rows]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def counts(numbers: Mapping[str, int]) -> str:
    """Return counts by name, the largest first, without those of nothing."""
    found = sorted(((name, count) for name, count in numbers.items() if count), key=lambda each: -each[1])
    return ", ".join(f"{name} {count}" for name, count in found)


def percent(ratio: float | None) -> str:
    """Return a ratio as people read it; a dash where there is none."""
    return "-" if ratio is None else f"{ratio * 100:.1f} %"


def size(taken: int | None) -> str:
    """Return bytes as people read them; nothing where they are not known."""
    if taken is None:
        return ""
    number, unit = float(taken), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"
