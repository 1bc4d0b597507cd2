"""Invalidations of a process: made here, heard of there, waited for; and with the link cut at random."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from cache.invalidation.epochs import Epochs
from cache.invalidation.invalidations import Invalidated, Invalidations
from cache.invalidation.scope import Scope
from gateway.core.cache_events import InvalidationRead
from gateway.core.clock import LoopClock
from gateway.core.request import Caller, Request, Response
from gateway.core.stack import Stack
from gateway.core.tensor import Tensor
from tests.cache.build import CacheFilters, DictLevel, StepClock, cache_of
from tests.cache.invalidation.logs import reading, restore, run, saved, settings_of, until
from tests.fakes.cut_link import CutLink
from tests.fakes.redis_server import RedisServer, free_port
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry

pytestmark = pytest.mark.redis


def local(telemetry: RecordingTelemetry | None = None) -> Invalidations:
    return Invalidations(
        "eu", None, clock=StepClock(), chance=Random(1), telemetry=telemetry or RecordingTelemetry()
    )


async def test_without_a_log_it_holds_here() -> None:
    """And in every worker that is given what was made; nobody is waited for."""
    telemetry = RecordingTelemetry()
    one, other = local(telemetry), local()
    await one.start()
    made = await one.invalidate(Scope(model="m"))
    other.note(made)
    again = await one.invalidate(Scope(model="m"))

    assert (made.log, made.problem) == ("", "")
    assert again.number > made.number
    assert one.epochs.marks("m", "t", ()) != other.epochs.marks("m", "t", ())
    other.note(again)
    assert one.epochs.marks("m", "t", ()) == other.epochs.marks("m", "t", ())
    assert one.epochs.marks("n", "t", ()) == ()
    assert (await one.wait(made, 60)).is_complete
    assert one.report() == {}
    assert telemetry.of(InvalidationRead) == [InvalidationRead("", "model")] * 2
    assert "no log" in repr(one)
    await one.aclose()


async def test_every_region_hears_of_it(redis: RedisServer) -> None:
    """Whoever waits learns when all have it; a region of which nobody reads is named."""
    with RedisServer() as second:
        urls = {"eu": redis.url, "us": second.url}
        async with reading("eu", urls) as eu, reading("us", urls) as us:
            marks = us.epochs.marks("m", "t", ())
            made = await eu.invalidate(Scope(model="m"), "ops")
            assert eu.epochs.marks("m", "t", ()) != marks

            receipts = await eu.wait(made, 60)

            assert receipts.is_complete
            assert {reader.region for reader in receipts.arrived} == {"eu", "us"}
            assert us.epochs.marks("m", "t", ()) == eu.epochs.marks("m", "t", ()) != marks
            assert us.epochs.marks("n", "t", ()) == eu.epochs.marks("n", "t", ()) == marks
            assert {each["state"] for each in us.report().values()} == {"following"}
        third = {**urls, "ap": f"redis://127.0.0.1:{free_port()}/0"}
        async with reading("eu", third) as eu:
            receipts = await eu.wait(await eu.invalidate(Scope()), 0.0)
            assert not receipts.is_complete
            assert "ap" in receipts.unheard
            assert eu.report()["ap"]["state"] == "cut"


async def test_who_has_not_got_it_is_named(redis: RedisServer) -> None:
    """A gateway whose link is cut reads the log, and has not come so far."""
    async with CutLink(redis.port) as link, reading("us", {"eu": link.url, "us": redis.url}):
        async with reading("eu", {"eu": redis.url, "us": redis.url}) as eu:
            await eu.wait(await eu.invalidate(Scope()), 60)
            link.cut()

            receipts = await eu.wait(await eu.invalidate(Scope(tenant="t")), 0.05)

            assert [reader.region for reader in receipts.awaited] == ["us"]
            assert receipts.unheard == ()


async def test_a_log_that_cannot_be_written_leaves_it_here(redis: RedisServer) -> None:
    """It holds in this process at once, and what is returned says that nobody else will hear of it."""
    async with reading("eu", {"eu": redis.url}) as eu:
        before = eu.epochs.marks("m", "t", ())
        redis.kill()

        made = await eu.invalidate(Scope(model="m"))

        assert made.log == ""
        assert "the log of eu cannot be written" in made.problem
        assert eu.epochs.marks("m", "t", ()) != before
        redis.start()
        await run(redis.url, "SET", "{edgeway-invalidation}:eu:state", "x")
        assert "WRONGTYPE" in (await eu.invalidate(Scope(model="m"))).problem


async def test_a_silent_log_is_noticed_without_a_reply(redis: RedisServer) -> None:
    """A watch of its own cuts in time what a look waits for."""
    async with reading("eu", {"eu": redis.url}, max_staleness_s=1, timeout_ms=900) as eu:
        redis.pause()
        await until(lambda: eu.epochs.is_cut("eu"))
        redis.resume()
        await until(lambda: not eu.epochs.is_cut("eu"))


async def test_a_message_of_another_log_holds_here() -> None:
    """Nobody knows which of two logs is the later one."""
    eu = local()
    eu.note(Invalidated(scope=Scope(model="m"), log="eu", identity="other", number=9))
    assert eu.epochs.marks("m", "t", ())
    assert eu.epochs.marks("n", "t", ()) == ()


async def test_a_message_of_another_log_hides_what_was_kept_before() -> None:
    """Though its number is far below those of this process's own orders."""
    eu = local()
    await eu.invalidate(Scope(model="m"))
    before = eu.epochs.marks("m", "t", ())

    eu.note(Invalidated(scope=Scope(model="m"), log="eu", identity="other", number=9))

    assert eu.epochs.marks("m", "t", ()) != before


@pytest.mark.parametrize("by_another", [True, False])
async def test_an_order_holds_though_the_clock_was_set_back(*, by_another: bool) -> None:
    """Whichever worker has made the one before: all come to the same key, which is a new one."""
    clock, telemetry = StepClock(), RecordingTelemetry()
    one, other = (Invalidations("eu", None, clock=clock, chance=Random(1), telemetry=telemetry) for _ in "ab")
    other.note(await one.invalidate(Scope(model="m")))
    before = one.epochs.marks("m", "t", ())
    clock.set_back(3600)
    maker, hearer = (other, one) if by_another else (one, other)

    made = await maker.invalidate(Scope(tenant="t"))
    hearer.note(made)
    after = one.epochs.marks("m", "t", ())
    hearer.note(made)

    assert after == other.epochs.marks("m", "t", ()) != before
    assert one.epochs.marks("m", "t", ()) == after


async def test_a_log_of_before_brings_no_key_back(redis: RedisServer) -> None:
    """An old snapshot is restored after the log was lost once: what was kept under it stays hidden."""
    async with reading("eu", {"eu": redis.url}) as eu, reading("eu", {"eu": redis.url}) as other:
        await eu.wait(await eu.invalidate(Scope(model="m")), 60)
        seen = {eu.epochs.marks("m", "t", ())}
        snapshot = await saved(redis.url)
        await run(redis.url, "FLUSHALL")
        await until(lambda: eu.epochs.marks("m", "t", ()) not in seen)
        await eu.wait(await eu.invalidate(Scope(model="m")), 60)
        seen.add(eu.epochs.marks("m", "t", ()))

        await restore(redis.url, snapshot)
        await until(lambda: eu.epochs.marks("m", "t", ()) not in seen)

        await until(lambda: other.epochs.marks("m", "t", ()) == eu.epochs.marks("m", "t", ()))
        assert eu.epochs.marks("m", "t", ()) not in seen


async def test_orders_to_a_silent_log_do_not_wait_for_one_another(redis: RedisServer) -> None:
    """Each holds here once its own time is over: twenty take as long as one."""
    async with reading("eu", {"eu": redis.url}, timeout_ms=200) as eu:
        redis.pause()
        orders = [asyncio.create_task(eu.invalidate(Scope(model=f"m{i}"))) for i in range(20)]
        await orders[0]
        # The first took the connection's time, all others have waited for as long and a turn more at most.
        await orders[2]
        done = sum(order.done() for order in orders)
        made = await asyncio.gather(*orders)
        redis.resume()

    assert done > 15
    assert all("TimeoutError" in each.problem for each in made)


class Region:
    """Two gateways of one region that share L2, and what their upstreams answer now."""

    def __init__(self, truth: dict[str, int], chance: Random, epochs: list[Epochs | None]) -> None:
        shared = DictLevel()
        self.truth, self.chance = truth, chance
        self.caches: list[CacheFilters] = [cache_of(far=(shared,), epochs=each) for each in epochs]
        self.stacks: list[Stack] = [cache.before(self.compute) for cache in self.caches]

    async def compute(self, request: Request) -> Response:
        value = self.truth[request.model]
        await dawdle(self.chance)
        data = value.to_bytes(8, "little")
        return Response(request.model, "1", (Tensor("out", "INT64", (1,), data),), answer().provenance)

    async def get(self, gateway: int, model: str) -> int:
        request = Request(
            model=model, inputs=(Tensor("in", "INT64", (1,), b"8 bytes."),), caller=Caller(tenant="t")
        )
        response = self.stacks[gateway](request)
        found = response if isinstance(response, Response) else await response
        return int.from_bytes(found.outputs[0].data, "little")

    async def aclose(self) -> None:
        for cache in self.caches:
            await cache.aclose()


async def dawdle(chance: Random) -> None:
    for _ in range(chance.randrange(6)):
        await asyncio.sleep(0)


async def stale_answers(num_races: int, *, seed: int, mixed: bool = True) -> int:
    """Let fills race against invalidations, over two logs whose links are cut at random.

    Return how many answers are stale once all links are mended and all logs were read.
    """
    chance, truth, stale = Random(seed), {f"m{i}": 0 for i in range(50)}, 0
    with RedisServer() as first, RedisServer() as second:
        async with CutLink(first.port) as eu_link, CutLink(second.port) as us_link:
            ours = {"eu": first.url, "us": us_link.url}
            theirs = {"eu": eu_link.url, "us": second.url}
            async with (
                reading("eu", ours, timeout_ms=500) as eu,
                reading("eu", ours, timeout_ms=500) as eu2,
                reading("us", theirs, timeout_ms=500) as us,
            ):
                all_of_them = (eu, eu2, us)
                region = Region(truth, chance, [each.epochs if mixed else None for each in all_of_them[:2]])
                abroad = Region(truth, chance, [us.epochs if mixed else None])

                async def race(model: str) -> None:
                    await dawdle(chance)
                    truth[model] += 1
                    by = chance.choice(all_of_them)
                    made = await by.invalidate(Scope(model=model, tenant=chance.choice(("", "t"))))
                    assert made.log

                for _ in range(num_races // len(truth)):
                    for link in (eu_link, us_link):
                        chance.choice((link.cut, link.mend, lambda at=link: at.cut_after(300)))()
                    fills = [region.get(chance.randrange(2), m) for m in truth for _ in range(2)]
                    fills += [abroad.get(0, m) for m in truth]
                    await asyncio.gather(*fills, *map(race, truth))
                    eu_link.mend()
                    us_link.mend()
                    last = [await each.invalidate(Scope(model="last")) for each in (eu, us)]
                    for each, made in zip((eu, us), last, strict=True):
                        assert (await each.wait(made, 60)).is_complete
                    for model, value in truth.items():
                        stale += await region.get(0, model) != value
                        stale += await region.get(1, model) != value
                        stale += await abroad.get(0, model) != value
                await region.aclose()
                await abroad.aclose()
    return stale


async def test_no_fill_wins_against_an_invalidation() -> None:
    """Interleaved at random over two real Redis, with the links between the regions cut at random."""
    assert await stale_answers(1_000, seed=1) == 0


@pytest.mark.nightly
async def test_no_fill_of_ten_thousand_wins() -> None:
    """The same with the number of the issue."""
    assert await stale_answers(10_000, seed=2) == 0


async def test_fills_win_where_keys_do_not_know_of_invalidations() -> None:
    """The check sees what it is there for."""
    assert await stale_answers(50, seed=1, mixed=False) > 0


def test_settings_name_what_is_read() -> None:
    """Every region that has a log is read, its own among them."""
    settings = settings_of({"us": "redis://h", "eu": "redis://h"})
    found = Invalidations("eu", settings, clock=LoopClock(), chance=Random(1), telemetry=RecordingTelemetry())
    assert found.regions == ("eu", "us")
