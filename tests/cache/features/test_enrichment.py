"""The filter: completes requests, marks answers, and has a part in fast paths."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from cache.features.enrichment import Enrichment
from cache.features.filling import VectorSource
from cache.features.vectors import StoreError
from gateway.core.errors import Fault, GatewayError
from gateway.core.feature_events import FeaturesFilled, FeaturesLookedUp
from gateway.core.request import Request, Response
from gateway.core.service import FastPath
from gateway.core.tensor import Buffer, Tensor
from tests.cache.features.build import key, request_of, row, source
from tests.cache.features.fake_store import FakeStore
from tests.fakes.service import HANG, ScriptedService, answer
from tests.fakes.telemetry import RecordingTelemetry

X = Tensor("x", "FP32", (1, 1), row(7))


class Bench:
    def __init__(self, *sources: VectorSource, telemetry: RecordingTelemetry | None = None) -> None:
        self.telemetry = telemetry or RecordingTelemetry()
        self.store = FakeStore({b"a": row(1, 2), b"b": row(3, 4)})
        self.sources = sources or (source(self.store, telemetry=self.telemetry),)
        self.enrichment = Enrichment({"shop": self.sources}, self.telemetry)
        self.service = ScriptedService(answer())

    async def ask(self, request: Request) -> Response:
        return await self.enrichment(request, self.service)

    @property
    def last(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in self.service.requests[-1].inputs}


async def test_the_key_is_replaced_by_vectors() -> None:
    """The others stay, in their order; a second request is completed without waiting."""
    bench = Bench()

    response = await bench.ask(request_of(X, key(b"a", b"b")))
    await bench.ask(request_of(key(b"b"), X))

    assert response == answer()
    assert [tensor.name for tensor in bench.service.requests[0].inputs] == ["x", "user"]
    assert bench.service.requests[0].inputs[1] == Tensor("user", "FP32", (2, 2), row(1, 2, 3, 4))
    assert bench.last["user"].data == row(3, 4)
    assert len(bench.store.trips) == 1
    assert bench.telemetry.of(FeaturesLookedUp)[-1] == FeaturesLookedUp("users", "hit", 1)
    assert "shop.user" in repr(bench.enrichment)


async def test_a_key_that_is_passed_on() -> None:
    store = FakeStore({b"a": row(1, 2)})
    bench = Bench(source(store, pass_on=True))

    await bench.ask(request_of(key(b"a")))

    assert set(bench.last) == {"user_id", "user"}


async def test_two_inputs_of_one_key_and_two_stores() -> None:
    first, second = FakeStore({b"a": row(1, 2)}), FakeStore({b"a": row(5)})
    other = source(second, input="shop", default=(0.0,))
    bench = Bench(source(first), other)

    await bench.ask(request_of(key(b"a")))

    assert (bench.last["user"].data, bench.last["shop"].data) == (row(1, 2), row(5))
    second.failure = StoreError("timeout")
    response = await bench.ask(request_of(key(b"z")))
    assert response.provenance.features == "default"


async def test_other_models_and_completed_requests_pass() -> None:
    """What another gateway has completed is not completed again; what it has not, is."""
    bench = Bench()
    filled = Tensor("user", "FP32", (1, 2), row(9, 9))

    await bench.ask(request_of(X, model="other"))
    await bench.ask(request_of(X, filled, hops=1))
    assert bench.last["user"] == filled
    assert not bench.store.trips
    await bench.ask(request_of(key(b"a"), hops=1))
    assert bench.last["user"].data == row(1, 2)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((X,), "missing required input 'user_id'"),
        ((key(b"a"), Tensor("user", "FP32", (1, 2), row(1, 2))), "unexpected inference input 'user'"),
        ((key(b""),), "it is empty"),
    ],
)
async def test_mistakes_of_the_caller(inputs: Sequence[Tensor], message: str) -> None:
    """Before anything is fetched, and on the fast path's way as well."""
    bench = Bench()

    with pytest.raises(GatewayError, match=message) as caught:
        await bench.ask(request_of(*inputs))
    with pytest.raises(GatewayError, match=message):
        bench.enrichment.fast_path(request_of(*inputs), lambda _: None)

    assert caught.value.fault is Fault.INVALID
    assert not bench.store.trips
    assert not bench.service.requests


async def test_answers_say_what_vectors_lacked() -> None:
    """And so does the request, for the layers below."""
    bench = Bench()
    bench.store.failure = StoreError("timeout")

    response = await bench.ask(request_of(key(b"a")))

    assert response.provenance.features == "default"
    assert bench.service.requests[0].features == "default"
    assert bench.telemetry.of(FeaturesFilled) == [FeaturesFilled("users", "default")]


async def test_a_request_can_be_completed_alone() -> None:
    """For who wants to know its key; others are returned as they are."""
    bench = Bench()
    other = request_of(X, model="other")

    completed = await bench.enrichment.complete(request_of(key(b"a"), X))

    assert [each.name for each in completed.inputs] == ["x", "user"]
    assert completed.features == ""
    assert await bench.enrichment.complete(other) is other


async def test_a_refusal_is_counted() -> None:
    store, telemetry = FakeStore({}), RecordingTelemetry()
    store.failure = StoreError("timeout")
    bench = Bench(source(store, refuses=True), telemetry=telemetry)

    with pytest.raises(GatewayError, match="try again"):
        await bench.ask(request_of(key(b"a")))

    assert telemetry.of(FeaturesFilled) == [FeaturesFilled("users", "refused")]
    assert not bench.service.requests


async def test_a_store_elsewhere_is_not_asked_for_who_must_stay() -> None:
    bench = Bench(source(store := FakeStore({b"a": row(1, 2)}), region="there"))
    stays = frozenset({"here"})

    response = await bench.ask(request_of(key(b"a"), regions=stays))

    assert response.provenance.features == "default"
    assert not store.trips
    await bench.ask(request_of(key(b"a"), regions=frozenset({"here", "there"})))
    assert bench.last["user"].data == row(1, 2)
    # In memory now, and still from where this request may not be seen.
    await bench.ask(request_of(key(b"a"), regions=stays))
    assert bench.last["user"].data == row(0.5, 0.5)
    assert bench.enrichment.fast_path(request_of(key(b"a"), regions=stays), lambda _: None) is None


async def test_who_leaves_while_it_is_fetched_leaves_nothing() -> None:
    bench = Bench()
    bench.store.held = asyncio.Event()
    task = asyncio.create_task(bench.ask(request_of(key(b"a"))))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    bench.store.held.set()

    await bench.ask(request_of(key(b"a")))

    assert bench.store.trips == [[b"a"]]
    assert len(bench.service.requests) == 1


async def test_who_leaves_below_leaves_it_clean() -> None:
    bench = Bench()
    bench.service = ScriptedService(HANG)
    task = asyncio.create_task(bench.ask(request_of(key(b"a"))))
    while not bench.service.running:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert bench.service.running == 0


class Rest:
    """A rest of the stack whose fast path answers by what it is given."""

    def __init__(self, response: Response | None) -> None:
        self.likes: list[Request] = []
        self.data: list[list[bytes]] = []
        self.response = response

    def find(self, like: Request) -> FastPath:
        self.likes.append(like)
        return self.path

    def path(self, data: Sequence[Buffer]) -> Response | None:
        self.data.append([bytes(each) for each in data])
        return self.response


async def test_fast_path() -> None:
    """The rest is found for completed requests and gets completed data; what is not in memory takes the call."""
    bench, rest = Bench(), Rest(answer())
    path = bench.enrichment.fast_path(request_of(key(b"a"), X), rest.find)
    assert path is not None

    assert path([key(b"a").data, row(7)]) is None
    await bench.ask(request_of(key(b"a", b"b")))
    assert path([key(b"b").data, row(7)]) == answer()

    assert [(each.name, each.shape, len(each.data)) for each in rest.likes[0].inputs] == [
        ("x", (1, 1), 4),
        ("user", (1, 2), 8),
    ]
    assert rest.data == [[row(7), row(3, 4)]]
    assert path([b"\x01\0\0\0\xff", row(7)]) is None
    assert bench.telemetry.of(FeaturesLookedUp)[-1] == FeaturesLookedUp("users", "hit", 1)


async def test_a_fast_path_that_finds_nothing_below_counts_nothing() -> None:
    bench, rest = Bench(), Rest(None)
    await bench.ask(request_of(key(b"a")))
    counted = len(bench.telemetry.events)
    path = bench.enrichment.fast_path(request_of(key(b"a")), rest.find)

    assert path is not None
    assert path([key(b"a").data]) is None
    assert len(bench.telemetry.events) == counted
    assert bench.enrichment.fast_path(request_of(key(b"a")), lambda _: None) is None


async def test_fast_paths_of_other_models_are_those_of_the_rest() -> None:
    bench, rest = Bench(), Rest(answer())
    assert bench.enrichment.fast_path(request_of(X, model="other"), rest.find) == rest.path
