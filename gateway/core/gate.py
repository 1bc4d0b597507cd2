"""A gate in front of something that may be broken: a circuit breaker, seen by the code behind it."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec


class GateSettings(msgspec.Struct, frozen=True):
    """When a gate shuts, and when it tries again; what stands behind it chooses them.

    ``max_failures``: failures in a row that shut it. ``first_wait_s``: seconds until it lets one call through
    as a probe; they grow with each probe that fails, to ``longest_wait_s`` at most.
    """

    max_failures: int
    first_wait_s: float
    longest_wait_s: float


class Pass(Protocol):
    """The right to make one call, and the duty to report, once, how it ended.

    The gate knows its passes apart: a call that was admitted before the gate shut and ends late says
    nothing about the probe that was let through since.
    """

    def succeeded(self) -> None:
        """The call proved that the other side works."""
        ...

    def failed(self, reason: str = "") -> None:
        """The call is evidence against the other side; ``reason`` is one word for it."""
        ...

    def left(self) -> None:
        """The call ended without evidence: its caller went away or was at fault."""
        ...


class Gate(Protocol):
    """Decides whether a call may go ahead."""

    def admit(self) -> Pass | None:
        """Return a pass for one call, or None; a half-open gate admits one probe at a time."""
        ...


class OpenGate:
    """A gate that always admits."""

    def admit(self) -> Pass:
        """Return a pass whose outcome nobody records."""
        return _UNRECORDED


class _UnrecordedPass:
    def succeeded(self) -> None:
        """Record nothing."""

    def failed(self, reason: str = "") -> None:
        """Record nothing."""

    def left(self) -> None:
        """Record nothing."""


_UNRECORDED: Final = _UnrecordedPass()

_: type[Gate] = OpenGate
