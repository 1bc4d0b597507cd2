"""Questions about where Redis is, to servers that may lie."""

from __future__ import annotations

import pytest

from cache.levels.redis_control import MasterFinder, ask
from cache.levels.redis_options import RedisOptions
from cache.levels.replies import Kind, ProtocolError, ReplyError
from gateway.core.clock import LoopClock
from tests.fakes.lying_redis import LyingRedis

PAIR = b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6380\r\n"


async def reply_to(reply: bytes, kind: Kind) -> list[bytes]:
    async with LyingRedis(reply) as server:
        return await ask(RedisOptions.of(server.url), kind, "WHERE", timeout_s=5, clock=LoopClock())


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (PAIR, Kind.ARRAY, [b"127.0.0.1", b"6380"]),
        (b"*-1\r\n", Kind.ARRAY, []),
        (b"$4\r\ntext\r\n", Kind.BULK, [b"text"]),
        (b"$-1\r\n", Kind.BULK, []),
    ],
)
async def test_strings_and_pairs(reply: bytes, kind: Kind, said: list[bytes]) -> None:
    assert await reply_to(reply, kind) == said


@pytest.mark.parametrize(
    ("reply", "kind", "error"),
    [
        (b"*3\r\n", Kind.ARRAY, ProtocolError),
        (b"*2147483647\r\n", Kind.ARRAY, ProtocolError),
        (b"*2\r\n*2\r\n", Kind.ARRAY, ProtocolError),
        (b"*2\r\n$2000000\r\n", Kind.ARRAY, ProtocolError),
        (b"*2\r\n", Kind.BULK, ProtocolError),
        (b"$2000000\r\n", Kind.BULK, ProtocolError),
        (b"-NOPERM no\r\n", Kind.BULK, ReplyError),
        (b"-ERR no\r\n", Kind.ARRAY, ReplyError),
    ],
)
async def test_what_was_not_asked_for_is_refused(reply: bytes, kind: Kind, error: type[Exception]) -> None:
    with pytest.raises(error):
        await reply_to(reply, kind)


async def test_a_server_that_says_nothing_costs_the_limit() -> None:
    async with LyingRedis(b"") as server:
        with pytest.raises(TimeoutError):
            await ask(RedisOptions.of(server.url), Kind.BULK, "WHERE", timeout_s=0.05, clock=LoopClock())


@pytest.mark.parametrize(
    "other",
    [
        b"*-1\r\n",
        b"-ERR no\r\n",
        b"*7\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"*2\r\n$1\r\na\r\n$5\r\n70000\r\n",
    ],
)
async def test_sentinels_are_asked_until_one_knows(other: bytes) -> None:
    """Each call asks another one first, so that one that is behind is not asked for ever."""
    template = RedisOptions.of("redis://:secret@nowhere/3")
    async with LyingRedis(other) as one, LyingRedis(PAIR) as two:
        servers = tuple(RedisOptions.of(each.url) for each in (one, two))
        find = MasterFinder("main", servers, template, timeout_s=5, clock=LoopClock())
        for _ in range(2):
            options = await find()
            assert (options.host, options.port, options.db) == ("127.0.0.1", 6380, 3)
            assert options.password == "secret"
        assert (one.connections, two.connections) == (1, 2)
    with pytest.raises(ConnectionError, match="no sentinel"):
        await find()
    assert repr(find) == "<MasterFinder main, 2 sentinels>"
