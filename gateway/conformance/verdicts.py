"""What a check can end with, and what it raises to say so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckVerdict(StrEnum):
    """What a check found: UNSUPPORTED is about the server, NOT_APPLICABLE about the model or the run."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    NOT_APPLICABLE = "n/a"


class Obligation(StrEnum):
    """Whether a server may leave out what is checked."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class Violation(Exception):  # noqa: N818 - it is a finding about the server, not an error of the suite
    """The server did not do what the clause says; the message is the reason that is reported."""


class Absent(Exception):  # noqa: N818 - as above
    """The server says that it does not have what is checked; the message is its answer."""


class NotApplicable(Exception):  # noqa: N818 - as above
    """The model, or what the run was given, leaves nothing to check; the message says why."""


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A request and its answer, both shortened to what one can read."""

    sent: str
    got: str
    is_unanswered: bool = False
    """Whether no whole answer came."""


def require(condition: object, reason: str) -> None:
    """Go on if the rule is kept.

    Raises:
        Violation: with ``reason`` otherwise.
    """
    if not condition:
        raise Violation(reason)
