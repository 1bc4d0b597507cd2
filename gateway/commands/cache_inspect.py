"""`edgeway cache inspect`: what a running gateway knows of one answer, and why it is not kept."""

from __future__ import annotations

import argparse
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.commands.admin_call import add_admin, call_admin, decode_answer
from gateway.commands.arguments import add_command
from gateway.commands.cache_stats import size
from gateway.core.cache_inspection import (
    ABSENT,
    FRESH,
    STALE,
    CacheQuestion,
    HeldAnswer,
    Inspection,
    LevelFinding,
)

EXAMPLES: Final = """\
  edgeway cache inspect --model digits --request request.json
  curl -s http://model.store/sample | edgeway cache inspect --model digits --tenant acme --request -
  edgeway cache inspect --model digits --request request.json --client-address 81.2.69.142 --header x-team=a
  edgeway cache inspect 6b1f0c8e5d2a4b7f9e3c1d5a7b8c2f4e6b1f0c8e5d2a4b7f9e3c1d5a7b8c2f4e --json

a request is the body that a client sends, as JSON: {"inputs": [...]}. It goes the way of a request as far as
the cache: tenant, residency, route, version, key. No model and no endpoint is asked, and no hit is counted.
Values are not shown.
"""

_KEY_DIGITS: Final = 64


def add_to(group: Any) -> None:
    """Add `edgeway cache inspect`."""
    about = "tell what the caches hold of one answer, or why it is not kept"
    parser = add_command(group, "inspect", _inspect, about=about, examples=EXAMPLES)
    parser.add_argument("key", metavar="KEY", nargs="?", default="", type=_key, help="64 hexadecimal digits")
    parser.add_argument("--request", metavar="FILE", help="the body of a request; -: standard input")
    parser.add_argument("--model", default="", metavar="NAME", help="the model of the request")
    parser.add_argument("--version", default="", metavar="VERSION", help="that the request names")
    parser.add_argument("--tenant", default="", metavar="NAME", help="whose request it is (anonymous)")
    parser.add_argument("--client-address", default="", metavar="IP", help="the client's")
    parser.add_argument("--residency", metavar="CLASS", help="another residency class than the policy gives")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="NAME=VALUE",
        help="a header of the request; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print what the gateway answers, for programs")
    add_admin(parser)


def _key(text: str) -> str:
    # The default, no key, comes here as well.
    if text and (len(text) != _KEY_DIGITS or not set(text) <= set(string.hexdigits)):
        raise argparse.ArgumentTypeError(f"'{text}': a key is {_KEY_DIGITS} hexadecimal digits")
    return text


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return name.lower(), value


def _inspect(options: argparse.Namespace) -> int:
    if bool(options.key) == bool(options.request):
        print("edgeway: name a KEY, or a request with --model and --request", file=sys.stderr)
        return 2
    if options.request and not options.model:
        print("edgeway: --model: name the model of the request", file=sys.stderr)
        return 2
    try:
        question = _question(options)
    except OSError as error:
        print(f"edgeway: {options.request}: {error.strerror}", file=sys.stderr)
        return 2
    except msgspec.MsgspecError as error:
        print(f"edgeway: {options.request}: it is no JSON: {error}", file=sys.stderr)
        return 2
    answer = call_admin(options.admin, "/cache/inspect", question)
    found = None if answer is None else decode_answer(options.admin, answer, Inspection)
    if answer is None or found is None:
        return 1
    print(answer.decode().strip() if options.json else "\n".join(lines(found)))
    return 0


def _question(options: argparse.Namespace) -> bytes:
    if options.key:
        return msgspec.json.encode({"key": options.key})
    body = sys.stdin.buffer.read() if options.request == "-" else Path(options.request).read_bytes()
    # Otherwise what is wrong with the file would be said of the question that it is put in.
    msgspec.json.decode(body, type=msgspec.Raw)
    return msgspec.json.encode(
        CacheQuestion(
            model=options.model,
            version=options.version,
            tenant=options.tenant,
            client_address=options.client_address,
            residency=options.residency,
            headers=dict(options.header),
            request=msgspec.Raw(body),
        )
    )


def lines(found: Inspection) -> list[str]:
    """Return the findings for people."""
    rows = {
        "key": found.key or "none",
        "route": found.route,
        "model": " ".join(filter(None, (found.model, found.version))),
        "tenant": found.tenant,
        "residency": found.residency,
        "shared by": _SCOPES.get(found.scope, found.scope),
    }
    told = [f"{name:<10} {text}" for name, text in rows.items() if text]
    told += [f"{'not kept':<10} {reason}" for reason in found.reasons]
    return [*told, *(line for level in found.levels for line in _level(level))]


_SCOPES: Final = {"tenant": "this tenant within its residency class", "residency": "the residency class"}


def _level(level: LevelFinding) -> Iterator[str]:
    worker = "" if level.worker is None else f" of worker {level.worker}"
    if level.answer is None:
        known = f": {level.level_state}" if level.level_state else ""
        yield f"{level.level}{worker}: {'nothing' if level.state == ABSENT else level.state}{known}"
        return
    yield f"{level.level}{worker}: {level.state}, {_when(level.state, level.answer)}"
    yield from _answer(level.answer)


def _when(state: str, answer: HeldAnswer) -> str:
    if state == FRESH:
        return f"for {answer.fresh_s:.1f} s more"
    since = f"since {-answer.fresh_s:.1f} s"
    return f"{since}; of use for {answer.useful_s:.1f} s more" if state == STALE else since


def _answer(answer: HeldAnswer) -> Iterator[str]:
    certified = "certified" if answer.certified else "not certified"
    model = " ".join(filter(None, (answer.model, answer.version)))
    yield f"  of {model}, from {answer.origin} in {answer.region or 'no region'}, {certified}"
    if answer.digest:
        yield f"  by {answer.digest}"
    yield f"  computed in {answer.compute_ms:.1f} ms; takes {size(answer.size)}"
    for output in answer.outputs:
        yield f"  {output.name}  {output.datatype} {list(output.shape)}  {size(output.bytes)}"
