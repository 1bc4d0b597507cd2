"""A gate in front of something that may be broken: a circuit breaker, seen by the code behind it."""

from __future__ import annotations

from typing import Final, Protocol


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
