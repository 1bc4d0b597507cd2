"""Faults: what can go wrong, named once, free of any protocol's status codes.

A fault is born with its flags. Retry, Breaker and the listeners look at the flags and never at the
exception classes of a library: whoever calls a library translates its errors at that call.
"""

from __future__ import annotations

from enum import StrEnum


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


class GatewayError(Exception):
    """The one exception that crosses a seam.

    ``message`` is for the client: it says what is wrong and what to do, and never repeats raw bytes.
    ``retryable``: another attempt, perhaps elsewhere, may succeed and does no harm.
    ``counts``: it is evidence against the endpoint that raised it. A caller's mistake, and a deadline
    that the caller made too short, never are.
    ``retry_after_s``: seconds after which a refused caller may come again.
    ``elsewhere``: the next attempt would ask another endpoint, whom ``retry_after_s`` does not concern.
    """

    __slots__ = ("counts", "elsewhere", "fault", "message", "retry_after_s", "retryable")

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        retryable: bool = False,
        counts: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.retryable = retryable
        self.counts = counts
        self.retry_after_s = retry_after_s
        self.elsewhere = False

    def __repr__(self) -> str:
        flags = "".join(f", {name}" for name in ("retryable", "counts") if getattr(self, name))
        return f"GatewayError({self.fault}, {self.message!r}{flags})"


def printable(text: str, limit: int = 64) -> str:
    """Return a stranger's ``text`` in a form fit for messages and logs: short, without control characters."""
    short = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return short if short.isprintable() else "".join(c if c.isprintable() else "?" for c in short)
