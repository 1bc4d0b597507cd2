"""`edgeway conformance`: its arguments. The suite, and grpcio, are imported only when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.commands.arguments import add_command
from gateway.conformance.areas import AREAS

EXAMPLES: Final = """\
  edgeway conformance http://127.0.0.1:8000 --grpc 127.0.0.1:8001
  edgeway conformance 127.0.0.1:8080 --model digits --only infer --only errors --verbose
  edgeway conformance 127.0.0.1:8000 --grpc 127.0.0.1:8001 --identity echo --json c.json --junit c.xml
  edgeway conformance --list

Needs the extra `conformance`: pip install '.[conformance]'.

The first tests the first model that the server lists. The second runs two areas and shows requests, answers
and clauses of what failed. In the third, `echo` is a model that answers its inputs: every datatype is sent
there and back. The fourth shows all checks, and the clauses that they stand for; nothing is sent.

Works against any server of the Open Inference Protocol (KServe V2). It sends wrong requests, which a server
must survive, and changes nothing: no model is loaded or unloaded, nothing is set.

verdicts:
  pass         the clause is kept
  fail         it is not
  unsupported  an optional part that the server leaves out: its metadata do not list the extension, or it
               says so with 404, 405, 501 or UNIMPLEMENTED. What it lists, it must have
  n/a          nothing to check: the model has no such input, no --grpc was given ...

exit codes: 0 nothing failed, 1 something failed, 2 no server there, or no model that can be tested
"""


def add_to(commands: Any) -> None:
    """Add `edgeway conformance`."""
    parser = add_command(
        commands,
        "conformance",
        _run,
        about="check how well a server speaks the Open Inference Protocol",
        examples=EXAMPLES,
    )
    about = "where its HTTP side listens, such as http://127.0.0.1:8000"
    parser.add_argument("url", nargs="?", metavar="URL", help=about)
    parser.add_argument("--grpc", metavar="HOST:PORT", help="where its gRPC side listens (none: not tested)")
    parser.add_argument("--model", metavar="NAME", help="the model under test (the first one listed)")
    parser.add_argument(
        "--identity",
        action="append",
        default=[],
        metavar="MODEL",
        help="a model that answers its inputs, for area datatypes; may be given again",
    )
    rows, seeds = _whole(1, 1024), _whole(0, 2**32)
    parser.add_argument("--batch", type=rows, default=2, metavar="ROWS", help="rows in a request (2)")
    parser.add_argument("--seed", type=seeds, default=1, metavar="N", help="of the inputs (1)")
    parser.add_argument("--timeout", type=_seconds, default=10.0, metavar="S", help="for one exchange (10)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=AREAS,
        metavar="AREA",
        help=f"one of {', '.join(AREAS)}",
    )
    parser.add_argument("--list", action="store_true", help="show the checks, run none")
    parser.add_argument("--verbose", action="store_true", help="show request, answer and clause of failures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write a JUnit report")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 600:
        raise argparse.ArgumentTypeError("must be a number of seconds from 0.1 to 600")
    return seconds


def _run(options: argparse.Namespace) -> int:
    from gateway.conformance.session import session  # noqa: PLC0415 - 300 checks, needed only here

    if not options.url and not options.list:
        print("edgeway: name the server: edgeway conformance URL, or --list for the checks", file=sys.stderr)
        return 2
    options.command_line = sys.argv[1:]
    return session(options)
