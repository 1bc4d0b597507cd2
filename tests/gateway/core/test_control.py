"""What an operator reads where there is nothing to read."""

from __future__ import annotations

from gateway.core.cache_inspection import CacheQuestion
from gateway.core.cache_report import CacheReport
from gateway.core.control import NoCache


async def test_a_process_without_caches_says_so() -> None:
    """And how to have one."""
    cache = NoCache()

    assert await cache.report(10) == CacheReport(enabled=False)
    [reason] = (await cache.inspect(CacheQuestion(model="digits"))).reasons
    assert "`cache: {}`" in reason
    assert repr(cache) == "<NoCache>"
