"""A gate in front of something that may be broken: the seam between a breaker and what it guards."""

from __future__ import annotations

from typing import Protocol


class Gate(Protocol):
    """Decides whether a call may go ahead. Every admitted call ends in exactly one of the other three.

    A call reports from the task in which it was admitted.
    """

    def admit(self) -> bool:
        """Whether a call may go ahead now; a half-open gate admits one probe at a time."""
        ...

    def succeeded(self) -> None:
        """The admitted call proved that the other side works."""
        ...

    def failed(self) -> None:
        """The admitted call is evidence against the other side."""
        ...

    def left(self) -> None:
        """The admitted call ended without evidence: its caller went away or was at fault."""
        ...


class OpenGate:
    """A gate that always admits."""

    def admit(self) -> bool:
        """Admit."""
        return True

    def succeeded(self) -> None:
        """Take no note."""

    def failed(self) -> None:
        """Take no note."""

    def left(self) -> None:
        """Take no note."""


_: type[Gate] = OpenGate
