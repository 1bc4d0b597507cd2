"""`edgeway demo`: its arguments. The demo itself is imported only when it runs: it needs tritonclient."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.commands.arguments import add_command

EXAMPLES = """\
  edgeway demo                      about a minute; exits 0 when every promise was kept
  edgeway demo --keep               leaves everything running and prints what to call
  edgeway demo --requests 6000      a shorter run; its cache is too cold for the promised hit rate, so
                                    it exits 1 and says so
"""

LEAST, MOST = 300, 10_000_000


def add_to(commands: Any) -> None:
    """Add `edgeway demo`."""
    parser = add_command(
        commands,
        "demo",
        _run,
        about="run three regions, a central tier and their clients here, with faults in the middle",
        examples=EXAMPLES,
    )
    parser.add_argument("--requests", type=_count, default=30_000, help="how many to play (30000)")
    parser.add_argument("--rate", type=_rate, default=900.0, help="requests per second, all regions (900)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the images (1)")
    parser.add_argument("--out", default="out", metavar="FOLDER", help="where results and logs go (out)")
    parser.add_argument("--keep", action="store_true", help="leave it running afterwards, until Ctrl-C")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and LEAST <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"must be a whole number from {LEAST} to {MOST}")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 1 <= rate <= MOST:
        raise argparse.ArgumentTypeError(f"must be a number of requests per second from 1 to {MOST}")
    return rate


def _run(options: argparse.Namespace) -> int:
    from gateway.commands.demo.run import run  # noqa: PLC0415 - needs the extra `demo`

    return run(options)
