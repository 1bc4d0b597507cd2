"""Running the checks one by one, whatever the server does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from gateway.conformance.check import Check, CheckResult, decide
from gateway.conformance.http_wire import HttpRequest, HttpWire, WireError
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import Absent, CheckVerdict, NotApplicable, Violation

_LOOK_AGAIN_S: Final = 0.2


def advertised(http: HttpWire) -> frozenset[str]:
    """Return the extensions that the server says it has; none when it says nothing readable."""
    try:
        listed = http.ask(HttpRequest("GET", "/v2")).object().get("extensions")
    except (WireError, Violation):
        return frozenset()
    return (
        frozenset(item for item in listed if isinstance(item, str))
        if isinstance(listed, list)
        else frozenset()
    )


def judge(check: Check, tested: ServerUnderTest) -> CheckResult:
    """Run one check. An answer so odd that the check raises another exception is a failure of the server."""
    tested.start()
    began = time.monotonic()
    error: Exception | None = None
    try:
        check.judge(tested)
    except (Violation, Absent, NotApplicable) as raised:
        error = raised
    except Exception as odd:  # noqa: BLE001 - a hostile answer must not end the run
        error = Violation(f"the answer is not what can be judged ({type(odd).__name__}: {odd})"[:300])
    verdict, reason = decide(check, error, tested.exchanges, tested.extensions)
    return CheckResult(check, verdict, reason, time.monotonic() - began, tuple(tested.exchanges))


def run(
    checks: Sequence[Check],
    tested: ServerUnderTest,
    advance: Callable[[CheckResult], None] = lambda _finding: None,
) -> list[CheckResult]:
    """Run checks in order; ``advance`` is called with each result.

    A server that dies in a check and does not come back in time gets no more requests.
    """
    results: list[CheckResult] = []
    dead_since = ""
    for check in checks:
        if dead_since:
            results.append(
                CheckResult(check, CheckVerdict.NOT_APPLICABLE, f"the server is gone since {dead_since}")
            )
        else:
            results.append(judge(check, tested))
            if results[-1].verdict is CheckVerdict.FAIL and not comes_back(tested.http):
                dead_since = check.id
        advance(results[-1])
    return results


def comes_back(http: HttpWire) -> bool:
    """Wait until the server is ready, as after a check that killed it; false when it is not in time."""
    deadline = time.monotonic() + http.timeout_s
    while time.monotonic() < deadline:
        try:
            http.ask(HttpRequest("GET", "/v2/health/live"))
        except WireError:
            time.sleep(_LOOK_AGAIN_S)
        else:
            return True
    return False


def count(results: Sequence[CheckResult], verdict: CheckVerdict) -> int:
    """Count the results with a verdict."""
    return sum(result.verdict is verdict for result in results)
