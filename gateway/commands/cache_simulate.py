"""`edgeway cache simulate`: what hit ratio other sizes and policies would have had, from a request log."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from cache.request_log.lines import read_lines
from cache.request_log.replay import POLICIES, Replay, SimulatedRatio
from gateway.commands.arguments import add_command
from gateway.commands.cache_simulate_page import page
from gateway.commands.cache_stats import percent
from gateway.commands.cache_stats import size as in_words

UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MOST_NAMED: Final = 5
"""Lines that cannot be read and are named; more are counted only."""
_MOST_SIZES: Final = 20
_BAR: Final = 40
_EVERY_LINES: Final = 4096
_EVERY_S: Final = 2.0

EXAMPLES: Final = """\
  edgeway cache simulate --log requests.jsonl --sizes 64MiB,256MiB
  edgeway cache simulate --log requests.jsonl.1 requests.jsonl --sizes 64MiB,256MiB,1GiB --html page.html
  edgeway cache simulate --log requests.jsonl --sizes 1GiB,4GiB --policies s3fifo --sample 0.1
  zcat old.gz | edgeway cache simulate --log - --sizes 256MiB

A gateway writes the log where its settings have cache.request_log. A line is one look-up in JSON, of which
key and size (bytes; 0: it may not be kept) are needed; time and ttl_s let answers expire:
  {"key": "9f3c", "size": 1460, "time": 1767225600.5, "ttl_s": 3600, "outcome": "miss"}
Of several files the oldest comes first.

The memory that it takes grows with the names that the caches hold, about 300 bytes each in every size and
policy. --sample 0.1 replays one key in ten in a tenth of the bytes, which is about as good and takes a tenth.

exit codes: 0 all was read, 1 some lines could not be read, 2 a file or an argument is wrong
"""


def add_to(group: Any) -> None:
    """Add `edgeway cache simulate`."""
    about = "show the hit ratio of other cache sizes and policies, from a request log"
    parser = add_command(group, "simulate", _simulate, about=about, examples=EXAMPLES)
    parser.add_argument(
        "--log", required=True, nargs="+", metavar="FILE", help="request logs, JSON lines; -: standard input"
    )
    parser.add_argument(
        "--sizes", required=True, type=_sizes, metavar="SIZE,…", help="of the cache, such as 64MiB,1GiB"
    )
    names = ",".join(POLICIES)
    parser.add_argument(
        "--policies", type=_policies, default=list(POLICIES), metavar="NAME,…", help=f"of {names} (all)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with a chart as well")
    parser.add_argument(
        "--sample", type=_share, default=1.0, metavar="SHARE", help="share of the keys to replay (1)"
    )


def _sizes(text: str) -> list[int]:
    sizes = sorted({_size(part.strip()) for part in text.split(",")})
    if len(sizes) > _MOST_SIZES:
        raise argparse.ArgumentTypeError(f"{len(sizes)} sizes, more than {_MOST_SIZES}")
    return sizes


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,3})?)(KiB|MiB|GiB|TiB|)", text, re.ASCII)
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if not 1 << 20 <= size <= 1 << 40:
        raise argparse.ArgumentTypeError(f"'{text}' is no size from 1MiB to 1TiB")
    return size


def _policies(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in POLICIES:
            raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(POLICIES)}")
    return list(dict.fromkeys(names))


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share, above 0 and up to 1")
    return share


def _simulate(options: argparse.Namespace) -> int:
    replay = Replay(options.sizes, options.policies, options.sample)
    problems = LinesPassedOver()
    name = ""
    try:
        for name in options.log:
            with _opened(name) as file:
                _replay(name, file, replay, problems, ReadingProgress(_length(file), time.monotonic))
    except OSError as error:
        print(f"edgeway: {error.filename or name}: {error.strerror or error}", file=sys.stderr)
        return 2
    problems.summarise()
    outcomes = replay.outcomes()
    if not outcomes:
        print("edgeway: there is no look-up to replay", file=sys.stderr)
        return 2
    print("\n".join(lines(replay, outcomes)))
    if options.html is not None:
        try:
            options.html.write_text(page(summary(replay), outcomes), encoding="utf-8")
        except OSError as error:
            print(f"edgeway: {options.html}: {error.strerror or error}", file=sys.stderr)
            return 2
    return 1 if problems.count else 0


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file


def _length(file: BinaryIO) -> int:
    """Return how many bytes there are to read; 0: nobody knows."""
    if not file.seekable():
        return 0
    length = file.seek(0, 2)
    file.seek(0)
    return length


def _replay(
    name: str, file: BinaryIO, replay: Replay, problems: LinesPassedOver, progress: ReadingProgress
) -> None:
    for line in read_lines(file):
        problem = line.problem or (replay.add(line.lookup) if line.lookup else "")
        if problem:
            problems.add(name, line.number, problem)
        progress.advance(line.bytes)


class LinesPassedOver:
    """Lines that could not be replayed: the first are named, all are counted."""

    def __init__(self) -> None:
        self.count = 0

    def __repr__(self) -> str:
        return f"<LinesPassedOver {self.count}>"

    def add(self, file: str, number: int, problem: str) -> None:
        """Name a line, or count it only."""
        self.count += 1
        if self.count <= MOST_NAMED:
            print(f"edgeway: {file}: line {number}: {problem}", file=sys.stderr)

    def summarise(self) -> None:
        """Say how many lines there were, if there were any."""
        if self.count:
            print(f"edgeway: {self.count} lines were passed over", file=sys.stderr)


class ReadingProgress:
    """Tells people at a terminal, every two seconds, how much of ``length`` bytes has been read."""

    def __init__(self, length: int, now: Callable[[], float]) -> None:
        self._length, self._now = length, now
        self._read = self._lines = 0
        self._next = now() + _EVERY_S
        self._is_shown = sys.stderr.isatty()

    def __repr__(self) -> str:
        return f"<ReadingProgress {self._read} of {self._length} bytes>"

    def advance(self, count: int) -> None:
        """Take note of a line of ``count`` bytes."""
        self._read += count
        self._lines += 1
        if self._is_shown and not self._lines % _EVERY_LINES and self._now() >= self._next:
            self._next = self._now() + _EVERY_S
            share = f", {percent(self._read / self._length)}" if self._length else ""
            print(f"{self._lines} lines read{share}", file=sys.stderr, flush=True)


def summary(replay: Replay) -> list[str]:
    """Return what was replayed, in sentences."""
    said = [f"{replay.lookups} look-ups"]
    if replay.recorded_hits:
        said.append(f"{percent(replay.recorded_hits / replay.lookups)} were hits when they were recorded")
    if replay.not_kept:
        said.append(f"{percent(replay.not_kept / replay.lookups)} had no answer that may be kept")
    if replay.sample < 1:
        said.append(f"the log has a sample of {replay.sample:g}")
    if replay.refused:
        said.append(
            f"{replay.refused} had an answer too large for the sampled bytes, though not for the cache: "
            "the figures are too low"
        )
    return said


def lines(replay: Replay, outcomes: Sequence[SimulatedRatio]) -> list[str]:
    """Return the table for a terminal: a bar for each size and policy."""
    best = {outcome.max_bytes: 0.0 for outcome in outcomes}
    for outcome in outcomes:
        best[outcome.max_bytes] = max(best[outcome.max_bytes], outcome.hit_ratio)
    width = max(len(outcome.policy) for outcome in outcomes)
    shown, last = ["; ".join(summary(replay)), ""], 0
    for outcome in outcomes:
        size = in_words(outcome.max_bytes) if outcome.max_bytes != last else ""
        last = outcome.max_bytes
        mark = "  best" if outcome.hit_ratio == best[last] and width_of(outcomes, last) > 1 else ""
        filled = round(outcome.hit_ratio * _BAR)
        bar = "█" * filled + "░" * (_BAR - filled)
        ratio = percent(outcome.hit_ratio)
        shown.append(f"{size:>10}  {outcome.policy:<{width}}  {bar} {ratio:>8}{mark}")
    return shown


def width_of(outcomes: Sequence[SimulatedRatio], max_bytes: int) -> int:
    """Return how many policies were replayed in this size."""
    return sum(outcome.max_bytes == max_bytes for outcome in outcomes)
