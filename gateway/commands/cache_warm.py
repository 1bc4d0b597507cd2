"""`edgeway cache warm`: recorded requests are sent to a gateway, so that it has their answers."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from gateway.commands.arguments import add_command
from gateway.commands.warm_log import RecordedRequest, read_lines
from gateway.commands.warm_run import FAILED, FILLED, HIT, STALE, UNCERTIFIED, Progress, Sent, WarmRun
from gateway.wire.headers import AUTHORIZATION, CERTIFIED, INFERENCE_HEADER_LENGTH, PROVENANCE, TENANT

if TYPE_CHECKING:
    import aiohttp

KEYS_VARIABLE: Final = "EDGEWAY_TENANT_KEY"
_DEFAULT: Final = "http://127.0.0.1:8000"
_LIMIT_S: Final = 60.0
_PUSHES_BACK: Final = frozenset({429, 502, 503, 504})
_OWN: Final = frozenset(
    {
        *("host", "connection", "transfer-encoding", "content-length", "content-type", "content-encoding"),
        *("accept-encoding", INFERENCE_HEADER_LENGTH, TENANT),
    }
)
"""Headers that a recorder may have noted and that this side writes by itself, or not at all."""
_EVERY: Final = 100
"""Requests between two lines that tell how far it is."""

EXAMPLES: Final = """\
  edgeway cache warm --log requests.jsonl
  edgeway cache warm --log requests.jsonl --gateway http://10.0.0.7:8000 --rate 200 --concurrency 16
  edgeway cache warm --log requests.jsonl --place warm.place       goes on where it stopped before
  EDGEWAY_TENANT_KEY=$(cat key) edgeway cache warm --log acme.jsonl

a line of the log is one request in JSON, its body as the client sent it:
  {"model": "digits", "version": "2", "tenant": "acme", "headers": {"x-team": "a"},
   "request": {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1]}]}}
model and request are needed. A tenant is believed where the gateway's trusted_gateways have this machine;
elsewhere a key says whose requests these are.

Requests go through everything that a client's go through, so that nothing is kept that would not be kept
anyway. What is there already is a hit and costs nothing. It ends when the gateway pushes back (429, 502,
503, 504, or no answer), and tells the line to go on from.

exit codes: 0 all was sent, 1 it ended before that or requests failed, 2 a file or an argument is wrong
"""


def add_to(group: Any) -> None:
    """Add `edgeway cache warm`."""
    about = "fill the caches of a gateway by sending recorded requests"
    parser = add_command(group, "warm", _warm, about=about, examples=EXAMPLES)
    parser.add_argument("--log", required=True, type=Path, metavar="FILE", help="the requests, JSON lines")
    parser.add_argument(
        "--gateway",
        metavar="URL",
        default=_DEFAULT,
        help=f"its port for clients, HTTP, {_DEFAULT} by default; a key is read from ${KEYS_VARIABLE}",
    )
    parser.add_argument(
        "--rate", type=_rate, default=50.0, metavar="N", help="requests a second, at most (50)"
    )
    parser.add_argument("--concurrency", type=_count, default=4, metavar="N", help="at once, at most (4)")
    parser.add_argument("--from", dest="first", type=_count, metavar="LINE", help="the first line (1)")
    parser.add_argument(
        "--place", type=Path, metavar="FILE", help="where it is noted how far it is; read when it starts"
    )


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not (math.isfinite(rate) and rate > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of requests a second")
    return rate


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1")
    return int(text)


def _warm(options: argparse.Namespace) -> int:
    try:
        first = options.first or (_noted(options.place) + 1)
        progress = asyncio.run(_send_all(options, first))
    except OSError as error:
        print(f"edgeway: {error.filename or options.log}: {error.strerror or error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"edgeway: {error}", file=sys.stderr)
        return 2
    print(summary(progress))
    for problem in progress.problems:
        print(f"edgeway: {problem}", file=sys.stderr)
    if progress.stopped:
        print(f"edgeway: {stopped(progress)}", file=sys.stderr)
    return 1 if progress.stopped or progress.counts[FAILED] else 0


async def _send_all(options: argparse.Namespace, first: int) -> Progress:
    url = options.gateway if "://" in options.gateway else f"http://{options.gateway}"
    place: Path | None = options.place

    def report(progress: Progress) -> None:
        if sum(progress.counts.values()) % _EVERY == 0:
            print(summary(progress), file=sys.stderr, flush=True)
            _note(place, progress.done)

    # Commands that check files need no HTTP.
    import aiohttp  # noqa: PLC0415

    with options.log.open("rb") as file:
        connector = aiohttp.TCPConnector(limit=options.concurrency)
        timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            sender = Sender(session, url.rstrip("/"), os.environ.get(KEYS_VARIABLE, ""))  # noqa: TID251
            run = WarmRun(
                sender, rate=options.rate, concurrency=options.concurrency, first=first, report=report
            )
            try:
                return await run.run(read_lines(file, first))
            finally:
                # Also when it is interrupted.
                _note(place, run.progress.done)


class Sender:
    """Sends requests to the data plane at ``url``; ``key``: the tenant's, where it needs one."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str = "") -> None:
        self._session, self._url, self._key = session, url, key

    def __repr__(self) -> str:
        return f"<Sender to {self._url}{', with a key' if self._key else ''}>"

    async def __call__(self, recorded: RecordedRequest) -> Sent:
        """Send one and say what became of it."""
        from aiohttp import ClientError  # noqa: PLC0415

        headers = {name: value for name, value in recorded.headers.items() if name.lower() not in _OWN}
        headers["content-type"] = "application/json"
        if recorded.tenant:
            headers[TENANT] = recorded.tenant
        if self._key:
            headers[AUTHORIZATION] = f"Bearer {self._key}"
        try:
            async with self._session.post(
                self._url + _path(recorded), data=bytes(recorded.request), headers=headers
            ) as answer:
                body = await answer.read()
        except ValueError as error:
            return Sent(FAILED, f"it cannot be sent: {error}")
        except (ClientError, OSError, TimeoutError) as error:
            return Sent(FAILED, f"no answer from {self._url}: {str(error) or type(error).__name__}", True)
        if answer.status == 200:
            return Sent(_outcome(answer.headers.get(PROVENANCE, ""), answer.headers.get(CERTIFIED, "")))
        told = body[:200].decode("utf-8", "replace").strip()
        return Sent(FAILED, f"{answer.status} {told}", answer.status in _PUSHES_BACK)


def _path(recorded: RecordedRequest) -> str:
    version = f"/versions/{quote(recorded.version, safe='')}" if recorded.version else ""
    return f"/v2/models/{quote(recorded.model, safe='')}{version}/infer"


def _outcome(provenance: str, certified: str) -> str:
    source, *rest = provenance.split(";")
    if source == "cache":
        return STALE if "stale" in rest else HIT
    return UNCERTIFIED if certified == "false" else FILLED


def summary(progress: Progress) -> str:
    """Return what became of the requests until now, in a line."""
    counts = ", ".join(f"{name} {count}" for name, count in progress.counts.items() if count)
    return f"line {progress.done}: {counts or 'nothing sent'}"


def stopped(progress: Progress) -> str:
    """Return why it ended before the log did, and how to go on."""
    return f"stopped: {progress.stopped}; go on later with --from {progress.done + 1}"


def _noted(place: Path | None) -> int:
    """Return the last line that is done, as an earlier run has noted it.

    Raises:
        OSError, ValueError: the note cannot be read.
    """
    if place is None or not place.exists():
        return 0
    text = place.read_text(encoding="utf-8").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(f"{place}: it holds no number of a line: take it away, or name --from")
    return int(text)


def _note(place: Path | None, done: int) -> None:
    if place is None:
        return
    # Whole or not at all: it may be interrupted any time.
    written = place.with_name(f"{place.name}.new")
    with suppress(OSError):
        written.write_text(f"{done}\n", encoding="utf-8")
        written.replace(place)
