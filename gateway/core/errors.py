"""Faults: what can go wrong, named once, free of any protocol's status codes.

A fault is born with its flags. Retry, Breaker and the listeners look at the flags and never at the
exception classes of a library: whoever calls a library translates its errors at that call.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final

import msgspec

_VALUES: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[^\s,;:()\[\]{}]*\d[^\s,;()\[\]{}]*")

_FOLDERS: Final = re.compile(r"(?<![\w:/.-])/(?:[^/\s\"':,;]+/)+")

_set: Final = object.__setattr__


class Fault(StrEnum):
    """The kinds of failure. ``gateway.wire.faults`` maps each to an HTTP status and a gRPC code."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    INTERNAL = "internal"
    NOT_CACHED = "not_cached"


class Why(msgspec.Struct, frozen=True):
    """Why an endpoint failed, for whoever judges it and whoever reads of it.

    ``reason``: one word of a small set, fit for a metric's label (refused, timeout, reset, 503 …).
    ``detail``: the other side's last sentence, for operators; clients see it masked.
    ``answered``: the endpoint gave an answer. Nobody answered where it is False.
    ``of_model``: it speaks of one model at that endpoint, and not of the endpoint.
    ``of_input``: it says that these inputs cannot be answered, so the same ones never can be.
    """

    reason: str
    detail: str = ""
    answered: bool = False
    of_model: bool = False
    of_input: bool = False

    def __str__(self) -> str:
        """Return it as a client may read it: without values, names and addresses that it quotes."""
        words = WORDS.get(self.reason) or f"it answered {self.reason}"
        return f"{words}: {masked(self.detail)}" if self.detail else words


WORDS: Final = {
    "refused": "connection refused",
    "timeout": "timeout",
    "reset": "connection reset",
    "unresolved": "its name is not known",
    "unreachable": "no route to it",
    "tls": "the TLS handshake failed",
    "protocol": "its answer breaks the protocol",
    "not_ready": "its health check says not ready",
    "not_let_in": "it does not let this gateway in",
    "cancelled": "it cancelled the call",
    "run_failed": "the model failed to run",
    "error": "it failed",
    "success_rate": "it fails more of its requests than the others",
    "failure_percentage": "it fails most of its requests",
}
"""Reasons in words; any other is a status that was answered."""


class GatewayError(Exception):
    """The one exception that crosses a seam.

    ``message`` is for the client: it says what is wrong and what to do, and never repeats raw bytes.
    ``retryable``: another attempt, perhaps elsewhere, may succeed and does no harm.
    ``counts``: it is evidence against the endpoint that raised it. A caller's mistake, and a deadline
    that the caller made too short, never are.
    ``retry_after_s``: seconds after which a refused caller may come again.
    ``why``: what an endpoint or a model did, where it is about one; also where it does not count.
    ``unsent``: nothing of the request was sent. It says nothing about the other side, unless it ``counts``:
    then there was no connection to be had.
    ``elsewhere``: the next attempt would ask another endpoint, whom ``retry_after_s`` does not concern.
    ``member``: which member of which endpoint it came from, as ``Request.tried`` names it; empty: none.
    ``others``: the members at which the same attempt has failed besides.

    None of this changes after birth: whoever knows more raises what ``replaced`` returns.
    """

    __slots__ = (
        "counts",
        "elsewhere",
        "fault",
        "member",
        "message",
        "others",
        "retry_after_s",
        "retryable",
        "unsent",
        "why",
    )

    fault: Fault
    message: str
    retryable: bool
    counts: bool
    retry_after_s: float | None
    why: Why | None
    unsent: bool
    elsewhere: bool
    member: str
    others: tuple[str, ...]

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        retryable: bool = False,
        counts: bool = False,
        retry_after_s: float | None = None,
        why: Why | None = None,
        unsent: bool = False,
        elsewhere: bool = False,
        member: str = "",
        others: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        _set(self, "fault", fault)
        _set(self, "message", message)
        _set(self, "retryable", retryable)
        _set(self, "counts", counts)
        _set(self, "retry_after_s", retry_after_s)
        _set(self, "why", why)
        _set(self, "unsent", unsent)
        _set(self, "elsewhere", elsewhere)
        _set(self, "member", member)
        _set(self, "others", others)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse to change a field. Python's own attributes (notes, causes, tracebacks) can be set.

        Raises:
            AttributeError: ``name`` is a field.
        """
        if name in GatewayError.__slots__:
            raise AttributeError(f"'{name}' of a GatewayError does not change: raise another, see `replaced`")
        super().__setattr__(name, value)

    def replaced(self, **changes: Any) -> GatewayError:
        """Return another error: with ``changes``, and else as this one, from which it is to be raised."""
        fields = {name: getattr(self, name) for name in GatewayError.__slots__}
        return GatewayError(**{**fields, **changes})

    def __repr__(self) -> str:
        flags = "".join(f", {name}" for name in ("retryable", "counts") if getattr(self, name))
        return f"GatewayError({self.fault}, {self.message!r}{flags})"


def printable(text: str, limit: int = 64) -> str:
    """Return a stranger's ``text`` in a form fit for messages and logs: short, without control characters."""
    short = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return short if short.isprintable() else "".join(c if c.isprintable() else "?" for c in short)


def masked(text: str) -> str:
    """Return ``text`` without what it quotes and without words that hold digits.

    A server's sentence about a failure may hold values of a request, which may be another client's, or
    addresses; what is left still says what went wrong.
    """
    return _VALUES.sub("\N{HORIZONTAL ELLIPSIS}", text)


def without_folders(text: str) -> str:
    """Return ``text`` with the names of files alone where it has their paths.

    Where files lie is for the log, not for whoever asks over a wire.
    """
    return _FOLDERS.sub("", text)
