"""The words of the suite: a check, what it found, and what was said on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.conformance.peer import Peer


class Verdict(StrEnum):
    """What a check found: UNSUPPORTED is about the server, NOT_APPLICABLE about the model or the run."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    NOT_APPLICABLE = "n/a"


class Level(StrEnum):
    """Whether a server may leave out what is checked."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class Broken(Exception):  # noqa: N818 - it is a finding about the server, not an error of the suite
    """The server did not do what the clause says; the message is the reason that is reported."""


class Absent(Exception):  # noqa: N818 - as above
    """The server says that it does not have what is checked; the message tells in which words."""


class NotApplicable(Exception):  # noqa: N818 - as above
    """The model, or what the run was given, leaves nothing to check; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of a specification, and the function that exchanges messages and judges them.

    ``extension`` is the name under which a server advertises an optional part in its metadata: one that
    advertises it must pass.
    """

    id: str
    area: str
    title: str
    clause: str
    level: Level
    extension: str
    judge: Callable[[Peer], None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer, both shortened to what one can read."""

    sent: str
    got: str
    is_unanswered: bool = False
    """Whether no whole answer came."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, with everything that was said for it."""

    check: Check
    verdict: Verdict
    reason: str = ""
    seconds: float = 0.0
    exchanges: tuple[Exchange, ...] = ()


@dataclass(slots=True)
class Area:
    """A part of the protocol and its checks, in the order in which they are reported."""

    name: str
    checks: list[Check] = field(default_factory=list)

    def check(
        self, name: str, title: str, clause: str, *, optional: bool = False, extension: str = ""
    ) -> Callable[[Callable[[Peer], None]], Callable[[Peer], None]]:
        """Add the function below as a check; naming an extension makes it optional."""

        def add(judge: Callable[[Peer], None]) -> Callable[[Peer], None]:
            level = Level.OPTIONAL if optional or extension else Level.REQUIRED
            self.checks.append(
                Check(f"{self.name}.{name}", self.name, title, clause, level, extension, judge)
            )
            return judge

        return add


def require(condition: object, reason: str) -> None:
    """Go on if the rule is kept.

    Raises:
        Broken: with ``reason`` otherwise.
    """
    if not condition:
        raise Broken(reason)


def decide(
    check: Check, error: Exception | None, exchanges: Sequence[Exchange], advertised: frozenset[str]
) -> tuple[Verdict, str]:
    """Turn what a check's function ended with into a verdict and its reason.

    A server may lack what is optional, and says so by a status or by not advertising it; it must answer
    all the same.
    """
    if error is None:
        return Verdict.PASS, ""
    if isinstance(error, NotApplicable):
        return Verdict.NOT_APPLICABLE, str(error)
    if check.extension in advertised or any(exchange.is_unanswered for exchange in exchanges):
        return Verdict.FAIL, str(error)
    if check.extension:
        return Verdict.UNSUPPORTED, f"'{check.extension}' is not advertised"
    if isinstance(error, Absent) and check.level is Level.OPTIONAL:
        return Verdict.UNSUPPORTED, str(error)
    return Verdict.FAIL, str(error)
