"""What a log is in Redis: names of keys, an ACL that is enough, and how a script is known."""

from __future__ import annotations

import pytest

from cache.invalidation.log import LogPlace
from cache.invalidation.scope import Scope
from cache.invalidation.scripts import PUBLISH, READ, READERS
from tests.cache.invalidation.logs import log_of, run
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.redis

ACL = ("on", ">pass", "~{edgeway-invalidation}:*", "+ping", "+eval", "+evalsha")
COMMANDS = "hget hset hgetall hlen hdel hincrby del zadd zcard zscore zpopmin zrangebyscore xadd xrange"


def test_scripts_are_known_apart() -> None:
    """By the digest of their text, as Redis knows them."""
    assert len({script.digest for script in (PUBLISH, READ, READERS)}) == 3
    assert PUBLISH.digest[:8] in repr(PUBLISH)


async def test_the_documented_acl_is_enough() -> None:
    """A user that may touch the four keys and nothing else writes and reads a log."""
    commands = (f"+{command}" for command in COMMANDS.split())
    with RedisServer("--user", "edge", *ACL, *commands) as server:
        url = server.url.replace("//", "//edge:pass@")
        log = log_of(url)

        await log.publish(Scope(model="m"), "me")
        looked = await log.look(LogPlace(), None, "reader", "eu id 1 1")
        readers = await log.readers(0)
        await log.aclose()

        assert [row.scope for row in looked.rows] == [Scope(model="m")]
        assert [reader.name for reader in readers] == ["reader"]


async def test_the_stream_says_what_was_done(shared_redis: RedisServer) -> None:
    """For people: which scope, by whom, with which number."""
    await run(shared_redis.url, "FLUSHALL")
    log = log_of(shared_redis.url)
    await log.publish(Scope(model="m", tenant="t"), "ops")
    await log.aclose()

    [(_, fields)] = await run(shared_redis.url, "XRANGE", "{edgeway-invalidation}:eu:log", "-", "+")  # type: ignore[misc]

    told = dict(zip(fields[::2], fields[1::2], strict=True)) if isinstance(fields, list) else fields
    assert (told[b"scope"], told[b"by"], told[b"number"]) == (b"model=m&tenant=t", b"ops", b"1")
