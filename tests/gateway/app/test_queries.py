"""What is asked of endpoints about models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from gateway.app.queries import (
    ALL_ANONYMOUS,
    FAILED_KEPT_S,
    KEPT_S,
    MAX_ANSWER_BYTES,
    MAX_ANSWERS,
    MAX_QUERIES,
    STALE_S,
    UNKNOWN_AT_ONCE,
    UNKNOWN_PER_S,
    Asker,
    Key,
    Queries,
)
from gateway.core.catalog import IndexEntry, ModelSpec, TensorSpec
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from tests.fakes.virtual_time import virtual_time

ACME, UMBRELLA = Asker("acme", False), Asker("umbrella", False)
ACMES_REQUESTS = Asker("acme", True)


class Endpoint:
    """Answers after ``seconds``; ``fault``: that it raises instead."""

    def __init__(self, seconds: float = 0.0, fault: Fault | None = None) -> None:
        self.seconds, self.fault = seconds, fault
        self.asked: list[str] = []
        self.left = 0

    async def describe(self, model: str) -> ModelSpec:
        self.asked.append(model)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.left += 1
            raise
        if self.fault is not None:
            raise GatewayError(self.fault, f"no {model}")
        return ModelSpec(model, ("1",), "test", (), ())


def key(model: str) -> Key:
    return (1, "central", "metadata", model, "")


def ask(queries: Queries, endpoint: Endpoint, model: str, asker: Asker = ACME) -> Awaitable[ModelSpec]:
    return queries.ask(key(model), asker, lambda: endpoint.describe(model))


async def fault_of(asking: Awaitable[ModelSpec]) -> Fault:
    with pytest.raises(GatewayError) as caught:
        await asking
    return caught.value.fault


@virtual_time
async def test_equal_questions_are_asked_once() -> None:
    """While the answer is on its way, and for a moment after."""
    queries, endpoint = Queries(LoopClock()), Endpoint(1.0)

    found = await asyncio.gather(*(ask(queries, endpoint, "m", who) for who in (ACME, UMBRELLA, ACME)))
    await ask(queries, endpoint, "m")
    assert {spec.name for spec in found} == {"m"}
    assert endpoint.asked == ["m"]

    await asyncio.sleep(KEPT_S)
    await ask(queries, endpoint, "m")
    assert endpoint.asked == ["m", "m"]
    assert repr(queries) == "<Queries 0 under way, 1 answers kept>"


@virtual_time
async def test_that_a_model_is_not_there_is_remembered() -> None:
    """As long as that one is; everybody who asks gets an error of their own."""
    queries, endpoint = Queries(LoopClock()), Endpoint(1.0, Fault.NOT_FOUND)

    raised = await asyncio.gather(*(ask(queries, endpoint, "m") for _ in range(3)), return_exceptions=True)
    assert len({id(error) for error in raised}) == 3
    assert await fault_of(ask(queries, endpoint, "m")) is Fault.NOT_FOUND
    await asyncio.sleep(KEPT_S - 1.5)
    assert await fault_of(ask(queries, endpoint, "m")) is Fault.NOT_FOUND
    assert endpoint.asked == ["m"]

    await asyncio.sleep(1.5)
    assert await fault_of(ask(queries, endpoint, "m")) is Fault.NOT_FOUND
    assert endpoint.asked == ["m", "m"]


@virtual_time
async def test_failure_is_remembered_briefly() -> None:
    """The endpoint is not asked for each of those who ask; soon it may be well."""
    queries, endpoint = Queries(LoopClock()), Endpoint(fault=Fault.UNAVAILABLE)
    for _ in range(3):
        assert await fault_of(ask(queries, endpoint, "m")) is Fault.UNAVAILABLE
    assert endpoint.asked == ["m"]
    endpoint.fault = None
    await asyncio.sleep(FAILED_KEPT_S)

    assert (await ask(queries, endpoint, "m")).name == "m"
    assert queries.known(key("m")).name == "m"


@virtual_time
async def test_last_answer_stands_in() -> None:
    """For an endpoint that is out, asked as seldom as one that is well, and not for ever."""
    queries, endpoint = Queries(LoopClock()), Endpoint()
    await ask(queries, endpoint, "m")
    endpoint.fault = Fault.UNAVAILABLE
    await asyncio.sleep(KEPT_S)
    assert queries.known(key("m")) is None

    for _ in range(3):
        assert (await ask(queries, endpoint, "m")).name == "m"
    assert endpoint.asked == ["m", "m"]

    await asyncio.sleep(STALE_S)
    assert await fault_of(ask(queries, endpoint, "m")) is Fault.UNAVAILABLE


@virtual_time
@pytest.mark.parametrize("fault", [Fault.NOT_FOUND, Fault.UNSUPPORTED])
async def test_last_answer_is_dropped_for_another(fault: Fault) -> None:
    """A model that is not there any more has not merely gone out."""
    queries, endpoint = Queries(LoopClock()), Endpoint()
    await ask(queries, endpoint, "m")
    endpoint.fault = fault
    await asyncio.sleep(KEPT_S)
    assert await fault_of(ask(queries, endpoint, "m")) is fault

    endpoint.fault = Fault.UNAVAILABLE
    await asyncio.sleep(KEPT_S)
    assert await fault_of(ask(queries, endpoint, "m")) is Fault.UNAVAILABLE


@virtual_time
async def test_last_answer_stands_in_for_who_asks_too_much() -> None:
    """What is known costs the endpoint nothing."""
    queries, endpoint, slow = Queries(LoopClock()), Endpoint(), Endpoint(1000.0)
    await ask(queries, endpoint, "m")
    await asyncio.sleep(KEPT_S)
    waiting = [asyncio.ensure_future(ask(queries, slow, f"slow-{n}")) for n in range(MAX_QUERIES)]
    await asyncio.sleep(0)

    assert (await ask(queries, endpoint, "m")).name == "m"

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@virtual_time
async def test_slow_questions_of_one_tenant_stop_nobody_else() -> None:
    """Nor its own requests that cannot be read without an answer."""
    queries, slow, fast = Queries(LoopClock()), Endpoint(1000.0), Endpoint()
    waiting = [asyncio.ensure_future(ask(queries, slow, f"slow-{n}")) for n in range(MAX_QUERIES)]
    await asyncio.sleep(0)

    assert await fault_of(ask(queries, fast, "m", ACME)) is Fault.OVERLOADED
    assert (await ask(queries, fast, "m", UMBRELLA)).name == "m"
    assert (await ask(queries, fast, "n", ACMES_REQUESTS)).name == "n"

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@virtual_time
async def test_requests_of_one_tenant_stop_nobody_else() -> None:
    """They are bounded as questions are."""
    queries, slow, fast = Queries(LoopClock()), Endpoint(1000.0), Endpoint()
    waiting = [
        asyncio.ensure_future(ask(queries, slow, f"slow-{n}", ACMES_REQUESTS)) for n in range(MAX_QUERIES)
    ]
    await asyncio.sleep(0)

    assert await fault_of(ask(queries, fast, "m", ACMES_REQUESTS)) is Fault.OVERLOADED
    assert (await ask(queries, fast, "m", ACME)).name == "m"
    assert (await ask(queries, fast, "n", Asker("umbrella", True))).name == "n"

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@virtual_time
async def test_who_leaves_harms_nobody_who_waits() -> None:
    """The query goes on for the others, and ends when the last has left."""
    queries, endpoint = Queries(LoopClock()), Endpoint(5.0)
    first, second, third = (asyncio.ensure_future(ask(queries, endpoint, "m")) for _ in range(3))
    await asyncio.sleep(1.0)
    first.cancel()
    assert (await second).name == (await third).name == "m"
    assert (endpoint.asked, endpoint.left) == (["m"], 0)

    alone = asyncio.ensure_future(ask(queries, endpoint, "n"))
    await asyncio.sleep(1.0)
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    await asyncio.sleep(0)
    assert endpoint.left == 1
    assert repr(queries) == "<Queries 0 under way, 1 answers kept>"


@virtual_time
async def test_question_after_one_that_was_left_is_asked_anew() -> None:
    """It does not join a query that is being cancelled."""
    queries, endpoint = Queries(LoopClock()), Endpoint(5.0)
    alone = asyncio.ensure_future(ask(queries, endpoint, "m"))
    await asyncio.sleep(1.0)
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)

    assert (await ask(queries, endpoint, "m")).name == "m"
    assert endpoint.asked == ["m", "m"]


@pytest.mark.parametrize("leaves", [False, True])
@virtual_time
async def test_made_up_names_are_passed_on_at_a_bounded_rate(leaves: bool) -> None:
    """However fast they come, and also if nobody waits for the answers."""
    queries, endpoint = Queries(LoopClock()), Endpoint(0.001, Fault.NOT_FOUND)
    refused = 0
    for number in range(1000):
        asking = asyncio.ensure_future(ask(queries, endpoint, f"name-{number}"))
        await asyncio.sleep(0.0005 if leaves else 0.01)
        asking.cancel()
        (error,) = await asyncio.gather(asking, return_exceptions=True)
        refused += isinstance(error, GatewayError) and error.fault is Fault.OVERLOADED

    seconds = asyncio.get_running_loop().time()
    assert len(endpoint.asked) <= UNKNOWN_AT_ONCE + UNKNOWN_PER_S * seconds + 1
    assert refused >= 800
    assert (await ask(queries, Endpoint(), "real", UMBRELLA)).name == "real"
    assert (await ask(queries, Endpoint(), "real-too", ACMES_REQUESTS)).name == "real-too"

    await asyncio.sleep(UNKNOWN_AT_ONCE / UNKNOWN_PER_S)
    assert (await ask(queries, Endpoint(), "another")).name == "another"


@virtual_time
async def test_models_that_are_there_may_be_asked_for_at_any_rate() -> None:
    """There are only so many of them."""
    queries, endpoint = Queries(LoopClock()), Endpoint()

    for number in range(500):
        await ask(queries, endpoint, f"m-{number}")

    assert len(endpoint.asked) == 500


@virtual_time
async def test_memory_is_bounded() -> None:
    """Of what is there and of what is not; made-up names do not push out real ones."""
    queries, real, made_up = Queries(LoopClock()), Endpoint(), Endpoint(fault=Fault.NOT_FOUND)
    for number in range(MAX_ANSWERS + 50):
        await ask(queries, real, f"m-{number}")
    for number in range(400):
        who = Asker(f"tenant-{number}", False)
        assert await fault_of(ask(queries, made_up, f"x-{number}", who)) is Fault.NOT_FOUND

    assert repr(queries) == f"<Queries 0 under way, {MAX_ANSWERS + 256} answers kept>"
    for number in range(50, MAX_ANSWERS + 50):
        await ask(queries, real, f"m-{number}")
    assert len(real.asked) == MAX_ANSWERS + 50


@virtual_time
@pytest.mark.parametrize(
    ("value", "most"),
    [
        (b"x" * 65536, MAX_ANSWER_BYTES >> 16),
        (ModelSpec("m", ("1",), "test", (TensorSpec("x", "FP32", (1,)),) * 2046, ()), 16),
        ([IndexEntry("m", "1", "READY")] * 2048, 16),
    ],
    ids=["configuration", "metadata", "index"],
)
async def test_large_answers_are_fewer(value: object, most: int) -> None:
    """Each kind is bounded by what it takes; an answer that is had again takes its place once."""
    queries = Queries(LoopClock())

    async def answer() -> object:
        return value

    for _ in range(3):
        for number in range(most + 1):
            await queries.ask(key(f"m-{number}"), ACME, answer)
    assert repr(queries) == f"<Queries 0 under way, {most} answers kept>"


@virtual_time
async def test_callers_without_a_key_are_known_by_address() -> None:
    """One of them stops neither the others nor a tenant; all of them together do not stop a tenant either."""
    queries, slow = Queries(LoopClock()), Endpoint(1000.0)
    waiting = []

    def flood(address: str) -> None:
        who = Asker.of(Caller(address))
        for number in range(MAX_QUERIES):
            asking = ask(queries, slow, f"slow-{address}-{number}", who)
            waiting.append(asyncio.ensure_future(asking))

    flood("2001:db8::1")
    await asyncio.sleep(0)
    assert await fault_of(ask(queries, Endpoint(), "m", Asker.of(Caller("2001:db8::2")))) is Fault.OVERLOADED
    assert (await ask(queries, Endpoint(), "m", Asker.of(Caller("10.0.0.1")))).name == "m"

    for number in range(1, ALL_ANONYMOUS):
        flood(f"10.0.1.{number}")
    await asyncio.sleep(0)
    assert await fault_of(ask(queries, Endpoint(), "n", Asker.of(Caller("10.0.0.1")))) is Fault.OVERLOADED
    assert (await ask(queries, Endpoint(), "n", Asker.of(Caller("10.0.0.1", "acme")))).name == "n"

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@virtual_time
async def test_addresses_that_asked_long_ago_are_forgotten() -> None:
    """A flood of addresses is bounded together, and what is kept of them is."""
    queries, endpoint = Queries(LoopClock()), Endpoint(fault=Fault.NOT_FOUND)
    asked = 0
    for number in range(3000):
        who = Asker.of(Caller(f"10.{number >> 8}.0.{number & 255}"))
        asked += await fault_of(ask(queries, endpoint, f"x-{number}", who)) is Fault.NOT_FOUND
        await asyncio.sleep(0.001)

    assert len(endpoint.asked) == asked <= ALL_ANONYMOUS * (UNKNOWN_AT_ONCE + UNKNOWN_PER_S * 3) + 1


@virtual_time
async def test_callers_from_nowhere_have_one_share_among_all_without_a_key() -> None:
    """A proxy that names no client: neither do they have all of it, nor do they make it smaller."""
    queries, slow, fast = Queries(LoopClock()), Endpoint(1000.0), Endpoint()
    nowhere = Asker.of(Caller())
    waiting = [asyncio.ensure_future(ask(queries, slow, f"slow-{n}", nowhere)) for n in range(MAX_QUERIES)]
    await asyncio.sleep(0)

    assert await fault_of(ask(queries, fast, "m", nowhere)) is Fault.OVERLOADED
    assert (await ask(queries, fast, "m", Asker.of(Caller("192.0.2.1")))).name == "m"

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
