"""A check, its area, and the result of running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import Absent, CheckVerdict, NotApplicable, Obligation, RecordedExchange


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
    obligation: Obligation
    extension: str
    judge: Callable[[ServerUnderTest], None]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found, with the requests and answers that led to it."""

    check: Check
    verdict: CheckVerdict
    reason: str = ""
    seconds: float = 0.0
    exchanges: tuple[RecordedExchange, ...] = ()


@dataclass(slots=True)
class Area:
    """A part of the protocol and its checks, in the order in which they are reported."""

    name: str
    checks: list[Check] = field(default_factory=list)

    def check(
        self, name: str, title: str, clause: str, *, optional: bool = False, extension: str = ""
    ) -> Callable[[Callable[[ServerUnderTest], None]], Callable[[ServerUnderTest], None]]:
        """Add the function below as a check; naming an extension makes it optional."""

        def add(judge: Callable[[ServerUnderTest], None]) -> Callable[[ServerUnderTest], None]:
            obligation = Obligation.OPTIONAL if optional or extension else Obligation.REQUIRED
            self.checks.append(
                Check(f"{self.name}.{name}", self.name, title, clause, obligation, extension, judge)
            )
            return judge

        return add


def decide(
    check: Check, error: Exception | None, exchanges: Sequence[RecordedExchange], advertised: frozenset[str]
) -> tuple[CheckVerdict, str]:
    """Turn what a check's function ended with into a verdict and its reason.

    A server may lack what is optional, and says so by a status or by not advertising it; it must answer
    all the same.
    """
    if error is None:
        return CheckVerdict.PASS, ""
    if isinstance(error, NotApplicable):
        return CheckVerdict.NOT_APPLICABLE, str(error)
    if check.extension in advertised or any(exchange.is_unanswered for exchange in exchanges):
        return CheckVerdict.FAIL, str(error)
    if check.extension:
        return CheckVerdict.UNSUPPORTED, f"'{check.extension}' is not advertised"
    if isinstance(error, Absent) and check.obligation is Obligation.OPTIONAL:
        return CheckVerdict.UNSUPPORTED, str(error)
    return CheckVerdict.FAIL, str(error)
