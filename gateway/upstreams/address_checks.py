"""Checking the health of every address of a name: one that is well is enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from gateway.core.verdict import Verdict
from gateway.http.client.addresses import Addresses
from gateway.upstreams.checks import lost

_AT_ONCE: Final = 16
"""So many addresses are checked at once; where there are more, those that failed last come later."""

_PATIENCE_S: Final = 0.25
"""When one address has answered that it is not ready, the others get this long to answer that they are."""


async def check_all(addresses: Addresses, check: Callable[[str], Coroutine[Any, Any, Verdict]]) -> Verdict:
    """Check the addresses at once; the first that is well is tried first from now on, the others last.

    Checked one after the other, one that hangs, or is never ready, would hide the one that is well. Where
    none is, an answer weighs more than silence, and silence more than what this process lacks.
    """
    try:
        found = await addresses.resolve()
    except OSError as error:
        return lost(error)
    checks = {asyncio.create_task(check(each)): each for each in found[:_AT_ONCE]}
    worst = Verdict(ours=True)
    try:
        while checks:
            patience_s = _PATIENCE_S if worst.why and worst.why.answered else None
            done, _ = await asyncio.wait(checks, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for task in done:
                address, verdict = checks.pop(task), task.result()
                if verdict.why is None and not verdict.ours:
                    addresses.answered(address)
                    return verdict
                if verdict.why is not None:
                    addresses.failed(address)
                worst = max(worst, verdict, key=_weight)
    finally:
        await _leave(checks, addresses)
    return worst


async def _leave(checks: dict[asyncio.Task[Verdict], str], addresses: Addresses) -> None:
    """Give up the checks whose answer did not come in time."""
    for task, address in checks.items():
        addresses.failed(address)
        task.cancel()
    await asyncio.gather(*checks, return_exceptions=True)


def _weight(verdict: Verdict) -> int:
    if verdict.why is None:
        return 0
    return 2 if verdict.why.answered else 1
