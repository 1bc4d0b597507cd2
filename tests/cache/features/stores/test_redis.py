"""The store in a real Redis, and before one that lies."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis as redis_py

from cache.features.settings import KnownIdsSettings, StoreSettings
from cache.features.stores.redis import RedisStore
from cache.features.vectors import StoreError
from cache.levels.level import LevelError
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from tests.fakes.lying_redis import LyingRedis
from tests.fakes.redis_server import RedisServer, free_port

VECTOR = struct.pack("<2f", 1.0, 2.0)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> redis_py.Redis:
    client = redis_py.Redis(port=server.port)
    client.flushall()
    return client


def store(url: str, **settings: Any) -> RedisStore:
    whole = StoreSettings(**{"redis": url, "timeout_ms": 500, **settings})
    return RedisStore(whole, gate=OpenGate(), clock=LoopClock())


async def fetched(server: RedisServer, *names: bytes, **settings: Any) -> list[Any]:
    """Outcomes, with the reason in place of an error."""
    made = store(server.url, **settings)
    try:
        outcomes = await made.fetch(names)
    finally:
        await made.aclose()
    return [each.reason if isinstance(each, StoreError) else each for each in outcomes]


async def listed(server: RedisServer, **settings: Any) -> set[bytes]:
    known = settings.pop("known_ids", KnownIdsSettings())
    made = store(server.url, known_ids=known, **settings)
    try:
        return {name async for part in made.known_ids() for name in part}
    finally:
        await made.aclose()


async def test_strings_hashes_and_one_hash(server: RedisServer, client: redis_py.Redis) -> None:
    client.set("u:a", VECTOR)
    client.hset("h:a", mapping={"v": VECTOR, "other": "x"})
    client.hset("all", mapping={"a": VECTOR})

    assert await fetched(server, b"a", b"b", prefix="u:") == [VECTOR, None]
    assert await fetched(server, b"a", b"b", prefix="h:", field="v") == [VECTOR, None]
    assert await fetched(server, b"a", prefix="h:", field="w") == [None]
    assert await fetched(server, b"a", b"b", hash="all") == [VECTOR, None]


@pytest.mark.parametrize("form", ["msgpack", "json"])
async def test_lists(server: RedisServer, client: redis_py.Redis, form: str) -> None:
    encode = msgspec.msgpack.encode if form == "msgpack" else msgspec.json.encode
    client.set("u:a", encode([1.0, 2]))

    assert await fetched(server, b"a", prefix="u:", format=form) == [VECTOR]


async def test_many_are_one_round_trip(server: RedisServer, client: redis_py.Redis) -> None:
    """512 commands are one read for Redis: counted by its own events loop would be flaky, so by pipelines."""
    client.mset({f"u:{number}": VECTOR for number in range(512)})

    assert await fetched(server, *[b"%d" % number for number in range(512)], prefix="u:") == [VECTOR] * 512


async def test_more_than_a_pipeline_takes_wait_for_the_next(
    server: RedisServer, client: redis_py.Redis
) -> None:
    """Four fetches of 512 in one turn: none is refused, although a pipeline takes 512 commands."""
    client.mset({f"u:{number}": VECTOR for number in range(2048)})
    made = store(server.url, prefix="u:", timeout_ms=1000)

    parts = [[b"%d" % number for number in range(begin, begin + 512)] for begin in range(0, 2048, 512)]
    found = await asyncio.gather(*map(made.fetch, parts))
    await made.aclose()

    assert [list(each) for each in found] == [[VECTOR] * 512] * 4


async def test_they_wait_no_longer_than_the_limit(server: RedisServer, client: redis_py.Redis) -> None:
    made = store(server.url, timeout_ms=30)
    server.pause()
    try:
        names = [b"%d" % number for number in range(512)]
        ended = await asyncio.gather(made.fetch(names), made.fetch(names), return_exceptions=True)
    finally:
        server.resume()
        await made.aclose()

    assert {each.reason for each in ended if isinstance(each, StoreError)} <= {
        "timeout",
        "backlog",
        "skipped",
    }
    assert all(isinstance(each, StoreError) for each in ended)


async def test_what_is_no_vector_fails_alone(server: RedisServer, client: redis_py.Redis) -> None:
    client.set("u:a", VECTOR)
    client.set("u:cut", b"123")
    client.set("u:huge", bytes(1000))
    client.sadd("u:set", "x")
    client.set("u:nan", struct.pack("<f", float("nan")))

    found = await fetched(server, b"a", b"cut", b"huge", b"set", b"nan", prefix="u:", max_vector_bytes=100)

    assert found == [VECTOR, "length", "too_large", "wrong_type", "not_finite"]


async def test_a_name_is_one_word_whatever_is_in_it(server: RedisServer, client: redis_py.Redis) -> None:
    """Line ends and commands in an id are bytes of a key."""
    assert await fetched(server, b"a\r\nFLUSHALL\r\n", "ü*".encode(), prefix="u:") == [None, None]


async def test_ids_out_of_keys_a_set_and_a_hash(server: RedisServer, client: redis_py.Redis) -> None:
    """However many there are, and whatever else is in Redis; a prefix is no pattern."""
    names = {b"%d" % number for number in range(3000)}
    client.mset({b"u[*]:" + name: VECTOR for name in names})
    client.mset({b"u:" + name: VECTOR for name in names})
    client.sadd("ids", *names)
    client.hset("all", mapping=dict.fromkeys(names, VECTOR))

    assert await listed(server, prefix="u[*]:") == names
    assert await listed(server, known_ids=KnownIdsSettings(set="ids")) == names
    assert await listed(server, hash="all") == names
    assert await listed(server, known_ids=KnownIdsSettings(set="nothing")) == set()


async def test_ids_of_another_type_cannot_be_listed(server: RedisServer, client: redis_py.Redis) -> None:
    client.set("ids", "x")

    with pytest.raises(StoreError, match="refused"):
        await listed(server, known_ids=KnownIdsSettings(set="ids"))


async def test_a_store_that_is_down(server: RedisServer) -> None:
    made = store(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StoreError):
        await made.fetch([b"a"])
    with pytest.raises(StoreError):
        _ = [part async for part in made.known_ids()]
    await made.aclose()
    with pytest.raises(StoreError, match="skipped"):
        await made.fetch([b"a"])
    with pytest.raises(StoreError, match="skipped"):
        _ = [part async for part in made.known_ids()]
    assert "RedisStore" in repr(made)


async def test_a_store_that_stands_still_costs_its_time_limit(server: RedisServer) -> None:
    made = store(server.url, timeout_ms=20)
    server.pause()
    try:
        with pytest.raises(StoreError, match="timeout"):
            await made.fetch([b"a"])
    finally:
        server.resume()
        await made.aclose()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"$3\r\nabc\r\n", "garbage"),
        (b"$0\r\n\r\n", "garbage"),
        (b"$8\r\n\xff\0\0\0abcd\r\n", "garbage"),
        (b"$-1\r\n", "garbage"),
        (b"*2147483647\r\n", "protocol"),
        (b"$99999999\r\n", "protocol"),
    ],
)
async def test_a_server_that_lies_about_ids(reply: bytes, reason: str) -> None:
    async with LyingRedis(reply) as lying:
        made = store(lying.url, prefix="u:")
        with pytest.raises(StoreError, match=reason):
            _ = [part async for part in made.known_ids()]
        await made.aclose()


@pytest.mark.parametrize(("reply", "reason"), [(b":1\r\n", "protocol"), (b"$99999999\r\n", "protocol")])
async def test_a_server_that_lies_about_vectors(reply: bytes, reason: str) -> None:
    """What no command can get back ends the connection before it has cost anything."""
    async with LyingRedis(reply) as lying:
        made = store(lying.url, prefix="u:")
        with pytest.raises(StoreError, match=reason):
            await made.fetch([b"a"])
        await made.aclose()


async def test_a_url_that_cannot_be_used() -> None:
    with pytest.raises(LevelError):
        store("redis://127.0.0.1:port/0")
