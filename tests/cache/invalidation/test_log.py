"""A log in a real Redis: numbers, pages, loss in whole and in part, and whatever anybody writes there."""

from __future__ import annotations

from random import Random

import pytest

from cache.invalidation import log as log_module
from cache.invalidation.epochs import EpochRow, Epochs
from cache.invalidation.log import UNREADABLE, LogPlace, Looked, RedisLog
from cache.invalidation.scope import Scope
from cache.levels.level import LevelError
from tests.cache.invalidation.logs import log_of, run
from tests.cache.levels.test_replies import LIES
from tests.fakes.cut_link import CutLink
from tests.fakes.lying_redis import LyingRedis
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.redis

KEYS = {key: f"{{edgeway-invalidation}}:eu:{key}" for key in ("log", "state", "names", "readers")}


async def look(log: RedisLog, place: LogPlace = LogPlace(), latest: EpochRow | None = None) -> Looked:  # noqa: B008
    return await log.look(place, latest, "", "")


async def test_what_was_written_since_is_read_once(redis: RedisServer) -> None:
    """In the order of its numbers; a scope that was named twice is one row; an entry tells how late one is."""
    log = log_of(redis.url)
    empty = await look(log)
    identity, number = await log.publish(Scope(model="a"), "me")
    await log.publish(Scope(model="b"), "me")
    await log.publish(Scope(model="a"), "me")

    looked = await look(log, empty.place)
    again = await look(log, looked.place)
    await log.aclose()

    assert (empty.rows, empty.place.number, empty.oldest_ms) == ((), 0, None)
    assert (identity, number) == (empty.place.identity, 1)
    assert looked.rows == (EpochRow(Scope(model="b"), 2), EpochRow(Scope(model="a"), 3))
    assert looked.oldest_ms is not None
    assert looked.is_complete
    assert (again.rows, again.oldest_ms) == ((), None)


async def test_many_names_come_in_pages(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is not the end, and no row is lost between two."""
    monkeypatch.setattr(log_module, "MAX_ROWS", 4)
    log = log_of(redis.url)
    for number in range(10):
        await log.publish(Scope(model=f"m{number}"), "me")
    place, pages = LogPlace(), []
    while not pages or not pages[-1].is_complete:
        pages.append(await look(log, place))
        place = pages[-1].place
    await log.aclose()

    assert [len(page.rows) for page in pages] == [4, 4, 2]
    assert {row.scope.model for page in pages for row in page.rows} == {f"m{i}" for i in range(10)}


async def test_the_log_folds_as_readers_do(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of 16 names: who has read all of it, and who reads it late, have the same keys."""
    monkeypatch.setattr(log_module, "MAX_NAMES", 16)
    log, chance, early, late = log_of(redis.url), Random(5), Epochs("eu", max_names=16), Epochs("eu")
    place = LogPlace()
    for _ in range(300):
        await log.publish(Scope(model=f"m{chance.randrange(60)}"), "me")
        looked = await look(log, place)
        place = looked.place
        early.read("eu", place.identity, looked.rows)
    looked = await look(log)
    await log.aclose()

    late.read("eu", looked.place.identity, looked.rows, looked.buckets)

    assert len(looked.rows) == 16
    assert looked.buckets
    marks = [[epochs.marks(f"m{i}", "t", ()) for i in range(100)] for epochs in (early, late)]
    assert marks[0] == marks[1]


async def test_a_trimmed_stream_loses_nothing(redis: RedisServer) -> None:
    """Nor does one that is gone: what all of its entries have said stands beside it."""
    log = log_of(redis.url)
    first = await look(log)
    await log.publish(Scope(model="a"), "me")
    for command in (("XTRIM", KEYS["log"], "MAXLEN", "0"), ("DEL", KEYS["log"])):
        await run(redis.url, *command)

        looked = await look(log, first.place)

        assert looked.place.identity == first.place.identity
        assert looked.rows == (EpochRow(Scope(model="a"), 1),)
    await log.aclose()


@pytest.mark.parametrize("command", ["FLUSHALL", "DEL state", "DEL names", "HDEL state count"])
async def test_what_is_lost_begins_anew(redis: RedisServer, command: str) -> None:
    """Evicted in part or as a whole: another identity, so that every key becomes another one."""
    log = log_of(redis.url)
    await log.publish(Scope(model="a"), "me")
    before = await look(log)
    words = [KEYS.get(word, word) for word in command.split()]
    await run(redis.url, *words)

    after = await look(log, before.place, before.rows[-1])
    await log.aclose()

    assert after.place.identity != before.place.identity
    assert after.place.number == 0


@pytest.mark.parametrize("more", [0, 1])
async def test_a_log_that_has_gone_back_begins_anew(redis: RedisServer, more: int) -> None:
    """As a replica that had not got the last writes; also where others have been written since."""
    log = log_of(redis.url)
    await log.publish(Scope(model="a"), "me")
    await log.publish(Scope(model="b"), "me")
    before = await look(log)
    await run(redis.url, "HSET", KEYS["state"], "count", "1")
    await run(redis.url, "ZREM", KEYS["names"], "model=b")
    for _ in range(more):
        await log.publish(Scope(model="c"), "me")

    after = await look(log, before.place, before.rows[-1])
    await log.aclose()

    assert after.place.identity != before.place.identity


async def test_foreign_rows_are_counted_and_left_out(redis: RedisServer) -> None:
    """Garbage, binary, very long, a number that is none: what is ours among them is read."""
    log = log_of(redis.url)
    await log.publish(Scope(model="a"), "me")
    for _ in range(5):
        await run(redis.url, "HINCRBY", KEYS["state"], "count", "1")
    garbage = ("x", "model=a b", "colour=red", "a" * 100_000, "\r\n$9")
    for number, name in enumerate(garbage, 2):
        await run(redis.url, "ZADD", KEYS["names"], str(number), name)
    await run(redis.url, "ZADD", KEYS["names"], "1.5", "model=half")
    await run(redis.url, "XADD", KEYS["log"], "*", "foreign", "x" * 100_000)

    looked = await look(log)
    await log.aclose()

    assert looked.rows == (EpochRow(Scope(model="a"), 1),)
    assert looked.malformed == 6
    assert looked.is_complete


@pytest.mark.parametrize(
    "command",
    [
        "SET state x",
        "SET names x",
        "HSET state count 9007199254740993",
        "HSET state count x",
        "HSET state identity x",
        "HSET state last x",
        "HSET state folded x",
        "HSET state b0ag x",
    ],
)
async def test_whatever_stands_there_ends_in_an_error_or_a_log(redis: RedisServer, command: str) -> None:
    """And never in anything else."""
    log = log_of(redis.url)
    await log.publish(Scope(model="a"), "me")
    verb, key, *words = command.split()
    if verb == "SET":
        await run(redis.url, "DEL", KEYS[key])
    await run(redis.url, verb, KEYS[key], *words)

    try:
        looked = await look(log)
    except UNREADABLE:
        looked = None
    await log.aclose()

    assert looked is None or looked.place.number in {0, 1}


@pytest.mark.parametrize("reply", LIES)
async def test_a_server_that_lies_costs_its_connection(reply: bytes) -> None:
    """An endless array, a string that is too long, replies nobody asked for: an error, at once."""
    async with LyingRedis(reply) as server:
        log = log_of(server.url, timeout_ms=200)

        with pytest.raises(UNREADABLE):
            await look(log)
        await log.aclose()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a 1 1 0-0 - x",
        "a -1 1 0-0 - 0",
        "a 1 1 0-0 - 0\n1",
        "a 99999999999999999999 1 0 - 0",
        "\xff",
    ],
)
async def test_an_answer_that_is_none_of_ours_is_an_error(text: str) -> None:
    """Whatever a script of somebody else's gives."""
    body = text.encode("latin-1")
    async with LyingRedis(b"$%d\r\n%s\r\n" % (len(body), body)) as server:
        log = log_of(server.url)

        with pytest.raises(UNREADABLE):
            await look(log)
        with pytest.raises(UNREADABLE):
            await log.publish(Scope(), "me")
        await log.aclose()


async def test_a_lost_connection_is_made_again(redis: RedisServer) -> None:
    """Also one that was cut in the middle of a reply, and one that is too slow."""
    async with CutLink(redis.port) as link:
        log = log_of(link.url, timeout_ms=300)
        await log.publish(Scope(model="a"), "me")
        link.cut_after(5)
        with pytest.raises(UNREADABLE):
            await look(log)
        link.mend()
        assert (await look(log)).rows
        redis.pause()
        with pytest.raises(UNREADABLE):
            await look(log)
        redis.resume()

        assert (await look(log)).rows
        assert link.connections == 3
        await log.aclose()
    assert "of eu" in repr(log)


async def test_readers_that_are_gone_leave_the_list(redis: RedisServer) -> None:
    """And what is no reader leaves it at once."""
    log = log_of(redis.url)
    day_ms = 86_400_000
    for name, at in (
        ("old", f"us id 3 {day_ms}"),
        ("new", f"us id 4 {2 * day_ms}"),
        ("x" * 300, "us id 5 9"),
    ):
        await log.look(LogPlace(), None, name, at)

    readers = await log.readers(2 * day_ms)
    await log.aclose()

    assert [(reader.name, reader.region, reader.number) for reader in readers] == [("new", "us", 4)]
    assert await run(redis.url, "HLEN", KEYS["readers"]) == 1


def test_a_url_that_cannot_be_used_is_not_repeated() -> None:
    """It may hold the password; its region is named."""
    with pytest.raises(LevelError, match=r"invalidation\.redis\.eu") as found:
        log_of("redis://:secret@127.0.0.1:port/0")
    assert "secret" not in str(found.value)


async def test_buckets_of_strangers_hide_no_invalidation(redis: RedisServer) -> None:
    """A number above all that are to come counts as the last one: some answers more are forgotten."""
    log = log_of(redis.url)
    await log.publish(Scope(model="a"), "me")
    await run(redis.url, "HSET", KEYS["state"], "folded", str(1 << 52), "b000", str((1 << 53) - 1))

    numbers = []
    for _ in range(2):
        numbers.append((await look(log)).buckets[0])
        await log.publish(Scope(model="a"), "me")
    await log.aclose()

    assert numbers == [1, 2]


@pytest.mark.parametrize("count", ["1e3", "0x10", "1.0", "-1", " 7", ""])
async def test_a_count_that_is_none_begins_anew(redis: RedisServer, count: str) -> None:
    """What Lua takes for a number and Redis does not count on would refuse every order."""
    log = log_of(redis.url)
    identity, _ = await log.publish(Scope(model="a"), "me")
    await run(redis.url, "HSET", KEYS["state"], "count", count)

    renewed, number = await log.publish(Scope(model="a"), "me")
    await log.aclose()

    assert (renewed > identity, number) == (True, 1)


async def test_a_full_redis_is_read(redis: RedisServer) -> None:
    """Only that this reader has come so far is not noted; other refusals are told."""
    log = log_of(redis.url)
    place = (await look(log)).place
    await log.publish(Scope(model="a"), "me")
    await run(redis.url, "CONFIG", "SET", "maxmemory", "1")

    looked = await log.look(place, None, "me", "eu x 1 1")
    with pytest.raises(UNREADABLE, match="OOM"):
        await log.publish(Scope(model="b"), "me")
    await run(redis.url, "CONFIG", "SET", "maxmemory", "0")
    await run(redis.url, "SET", KEYS["readers"], "x")
    with pytest.raises(UNREADABLE, match="WRONGTYPE"):
        await log.look(place, None, "me", "eu x 1 1")
    await log.aclose()

    assert looked.rows == (EpochRow(Scope(model="a"), 1),)


async def test_the_longest_names_are_read(redis: RedisServer) -> None:
    """A tenant of 256 characters, as an order may name it."""
    log, scope = log_of(redis.url), Scope(tenant="\u4e2d" * 256)
    await log.publish(scope, "me")

    looked = await look(log)
    await log.aclose()

    assert (looked.rows, looked.malformed) == ((EpochRow(scope, 1),), 0)
