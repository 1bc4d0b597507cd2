"""Running the checks one by one, whatever the server does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from gateway.conformance.check import (
    Absent,
    Broken,
    Check,
    Finding,
    NotApplicable,
    Verdict,
    decide,
)
from gateway.conformance.http_wire import HttpRequest, HttpWire, WireError
from gateway.conformance.peer import Peer

_LOOK_AGAIN_S: Final = 0.2


def advertised(http: HttpWire) -> frozenset[str]:
    """Return the extensions that the server says it has; none when it says nothing readable."""
    try:
        listed = http.ask(HttpRequest("GET", "/v2")).object().get("extensions")
    except (WireError, Broken):
        return frozenset()
    return (
        frozenset(item for item in listed if isinstance(item, str))
        if isinstance(listed, list)
        else frozenset()
    )


def judge(check: Check, peer: Peer) -> Finding:
    """Run one check. An answer so odd that the judging code trips over it is a failure of the server."""
    peer.start()
    began = time.monotonic()
    error: Exception | None = None
    try:
        check.judge(peer)
    except (Broken, Absent, NotApplicable) as told:
        error = told
    except Exception as odd:  # noqa: BLE001 - a hostile answer must not end the run
        error = Broken(f"the answer is not what can be judged ({type(odd).__name__}: {odd})"[:300])
    verdict, reason = decide(check, error, peer.exchanges, peer.extensions)
    return Finding(check, verdict, reason, time.monotonic() - began, tuple(peer.exchanges))


def run(
    checks: Sequence[Check], peer: Peer, advance: Callable[[Finding], None] = lambda _finding: None
) -> list[Finding]:
    """Run checks in order; ``advance`` hears of each finding.

    A server that dies in a check and does not come back in time is not asked any more.
    """
    findings: list[Finding] = []
    dead_since = ""
    for check in checks:
        if dead_since:
            findings.append(Finding(check, Verdict.NOT_APPLICABLE, f"the server is gone since {dead_since}"))
        else:
            findings.append(judge(check, peer))
            if findings[-1].verdict is Verdict.FAIL and not comes_back(peer.http):
                dead_since = check.id
        advance(findings[-1])
    return findings


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


def count(findings: Sequence[Finding], verdict: Verdict) -> int:
    """Count the findings with a verdict."""
    return sum(finding.verdict is verdict for finding in findings)
