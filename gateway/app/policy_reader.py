"""Reading a large policy without slowing down the requests that are answered meanwhile.

A thread would share the interpreter with them: while a thousand routes are read, each request would take
twice as long. A process reads the file instead, and what it has found is taken over in pieces.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.app.collector import held_off
from gateway.app.switching import switching_often
from gateway.config.document import ConfigError
from gateway.config.policy_file import parse_policy
from routing.policy import Policy, Route

HERE_BYTES: Final = 64 << 10
"""A policy of fewer bytes is read in this process: in about 20 ms."""

CHILD: Final = (sys.executable, "-P", "-m", "gateway.app.policy_child")
_LIMIT_S: Final = 60.0
_PIECE: Final = 50
"""Routes that are taken over at once, in about 0.3 ms."""

_log: Final = logging.getLogger("edgeway")


class _Problem(msgspec.Struct, array_like=True, gc=False):
    """One of what is wrong, as ``ConfigError`` has it."""

    message: str
    line: int
    column: int
    field: str


class _Found(msgspec.Struct, array_like=True, gc=False):
    """``policy``: with its first routes alone; ``routes``: pieces of the others."""

    policy: bytes = b""
    routes: list[bytes] = []
    problems: list[_Problem] = []


def read_beside(file: Path, text: bytes, region: str, child: Sequence[str] = CHILD) -> Policy:
    """Return what ``parse_policy`` returns; it blocks, so call it in a thread.

    Where no process can do it, it is read in this one.

    Raises:
        ConfigError: as ``parse_policy`` does.
    """
    if len(text) < HERE_BYTES:
        return _read_here(file, text, region)
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [*child, str(file), region], input=text, stdout=subprocess.PIPE, timeout=_LIMIT_S, check=True
        )
        return unpack(file, done.stdout)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        _log.warning("the policy is read in this process, which slows requests down: %s", error)
        return _read_here(file, text, region)


def pack(found: Policy | ConfigError) -> bytes:
    """Return ``found`` as bytes."""
    if isinstance(found, ConfigError):
        problems = [
            _Problem(each.message, each.line, each.column, each.field) for each in (found, *found.others)
        ]
        return msgspec.msgpack.encode(_Found(problems=problems))
    routes = found.routes
    pieces = [routes[start : start + _PIECE] for start in range(_PIECE, len(routes), _PIECE)]
    policy = replace(found, routes=routes[:_PIECE])
    encode = msgspec.msgpack.encode
    return encode(_Found(encode(policy), [encode(piece) for piece in pieces]))


def unpack(file: Path, packed: bytes) -> Policy:
    """Return the policy of ``file`` in ``packed``.

    Raises:
        ConfigError: that is in there.
        MsgspecError: it is not what ``pack`` returns.
    """
    found = msgspec.msgpack.decode(packed, type=_Found)
    if found.problems:
        first, *others = found.problems
        raise _error(file, first, [_error(file, other) for other in others])
    with held_off(), switching_often():
        policy = msgspec.msgpack.decode(found.policy, type=Policy)
        decode = msgspec.msgpack.Decoder(tuple[Route, ...]).decode
        routes = list(policy.routes)
        for piece in found.routes:
            # Between two pieces the event loop has its turn.
            routes += decode(piece)
        return replace(policy, routes=tuple(routes))


def _read_here(file: Path, text: bytes, region: str) -> Policy:
    with held_off(), switching_often():
        return parse_policy(file, text, region)


def _error(file: Path, problem: _Problem, others: Sequence[ConfigError] = ()) -> ConfigError:
    message, line, column, field = problem.message, problem.line, problem.column, problem.field
    return ConfigError(file, message, line=line, column=column, field=field, others=others)
