"""Models in two files behind a store of features, with the real ONNX Runtime and the real store."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cache.features.computed import ComputedFeatures, FeatureScope
from cache.levels.memory import MemoryLevel, MemorySettings
from edge_models.executors import ThreadExecutor
from edge_models.predictor import Predictor
from edge_models.registry import Registry
from edge_models.repository import ModelRepository
from edge_models.settings import BatchingSettings, ModelsSettings
from edge_models.two_stages import MOST_PARTS
from gateway.core.cache_events import CacheLookedUp, FeaturesComputed
from gateway.core.cache_levels import L3
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.feature_store import Backbone, Compute, FoundFeatures
from gateway.core.request import Caller, Request, Response
from gateway.core.telemetry import BatchRan, QueueChanged
from gateway.core.tensor import Tensor
from tests.cache.build import SECRET
from tests.edge_models.splitting import models
from tests.fakes.telemetry import RecordingTelemetry

TEXTS = """words (string[n, 1] t) => (float[n, 3] y) {
  [label] i = ai.onnx.ml.LabelEncoder <keys_strings = ["a"], values_floats = [2.0], default_float = 1.0> (t)
  [wide] x = Expand (i, shape)
  y = MatMul (x, w1)
}"""
FIXED = """fixed (float[2, 4] x) => (float[2, 3] y) { [first] a = MatMul (x, w0)  y = MatMul (a, w1) }"""
GATHER = """gather (int64[n, 1] i) => (float[n, 1] y) { [first] a = Gather (table, i)  y = Mul (a, a) }"""


class Waiting:
    """A store that holds nothing, and gives its answer when ``go`` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = 0

    async def find(
        self, request: Request, backbone: Backbone, parts: Sequence[Sequence[Tensor]], compute: Compute
    ) -> FoundFeatures:
        self.asked += 1
        await self.go.wait()
        return FoundFeatures(await compute(range(len(parts))))


class World:
    """A repository, a predictor and a store. ``runs``: rows of each run of a backbone."""

    def __init__(self, folder: Path, store: Any = None, **batching: BatchingSettings) -> None:
        self.telemetry = RecordingTelemetry()
        self.store = store or ComputedFeatures(
            (MemoryLevel(MemorySettings(), self.telemetry, name=L3),),
            secret=SECRET,
            scope=FeatureScope(per_tenant=True, instruction_set="avx2"),
            ttl_s=60.0,
            clock=LoopClock(),
            telemetry=self.telemetry,
        )
        registry = Registry.load(ModelsSettings(repository=str(folder), batching=batching))
        self.predictor = Predictor(
            registry,
            ThreadExecutor(1),
            batching=batching,
            region="eu",
            origin="edge",
            clock=LoopClock(),
            telemetry=self.telemetry,
            features=self.store,
        )
        self.repository = ModelRepository(registry, self.predictor, batching)

    @property
    def runs(self) -> list[int]:
        return [event.rows for event in self.telemetry.of(FeaturesComputed)]

    async def ask(
        self, model: str = "tower", *, key: bytes = b"k", tenant: str = "a", **arrays: Any
    ) -> Response:
        inputs = tuple(Tensor.from_numpy(name, np.asarray(array)) for name, array in arrays.items())
        caller = Caller(tenant=tenant, residency="eu")
        return await self.predictor(Request(model, inputs, caller=caller, key=key, deadline=1e12))


def pixels(*values: float) -> Any:
    return np.repeat(np.array(values, np.float32)[:, None], 4, axis=1) * np.float32([1, -1, 2, 3])


def plain(folder: Path, model: str, **arrays: Any) -> list[bytes]:
    """What the session gives by itself."""
    session = Registry.load(ModelsSettings(repository=str(folder))).get(model).session
    return [array.tobytes() for array in session.run(arrays)]


@pytest.fixture
async def worlds() -> AsyncIterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        await world.predictor.close()


@pytest.fixture
def tower(tmp_path: Path, worlds: list[World]) -> World:
    models.write_split(tmp_path, models.TOWER, ["second"])
    worlds.append(World(tmp_path))
    return worlds[0]


def new_head(version: Path, number: int) -> None:
    """Beside ``version`` one with the same backbone and a head that was trained anew."""
    folder = version.with_name(str(number))
    shutil.copytree(version, folder)
    head = onnx.load(folder / "head.onnx")
    weights = -number * numpy_helper.to_array(head.graph.initializer[0])
    head.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, head.graph.initializer[0].name))
    onnx.save(head, folder / "head.onnx")


async def test_the_second_time_only_the_head_runs(tower, tmp_path):
    """And it answers the same, bit for bit, as the model does in one run."""
    first = await tower.ask(x=pixels(1, 2))
    again = await tower.ask(x=pixels(1, 2))

    expected = plain(tmp_path, "tower", x=pixels(1, 2))
    assert [bytes(first.outputs[0].data)] == [bytes(again.outputs[0].data)] == expected
    assert tower.runs == [2]
    assert (first.provenance.feature_level, again.provenance.feature_level) == ("", L3)
    assert (again.provenance.origin, again.provenance.level) == ("edge", "")
    assert [event.size for event in tower.telemetry.of(BatchRan)] == [2, 2]
    assert {event.model for event in tower.telemetry.of(QueueChanged)} == {"tower"}


async def test_a_new_head_over_warm_inputs_runs_no_backbone(tower, tmp_path):
    """200 inputs; the new version is loaded beside the old, answers otherwise, and computes no feature."""
    inputs = [pixels(value) for value in range(200)]
    old = [await tower.ask(x=each) for each in inputs]
    computed = sum(tower.runs)
    new_head(tmp_path / "tower" / "1", 2)

    await tower.repository.load("tower", {})
    new = [await tower.ask(x=each) for each in inputs]

    assert (computed, sum(tower.runs)) == (200, 200)
    assert {answer.version for answer in new} == {"2"}
    assert all(answer.provenance.feature_level == L3 for answer in new)
    assert new[3].outputs != old[3].outputs
    assert bytes(new[3].outputs[0].data) == plain(tmp_path, "tower", x=inputs[3])[0]
    assert new[3].provenance.digest != old[3].provenance.digest


async def test_another_model_on_the_backbone_finds_its_features(tmp_path, worlds):
    version = models.write_split(tmp_path, models.TOWER, ["second"])
    shutil.copytree(version.parent, tmp_path / "other")
    world = World(tmp_path)
    worlds.append(world)
    await world.ask("tower", x=pixels(1))

    assert (await world.ask("other", x=pixels(1))).provenance.feature_level == L3
    assert world.runs == [1]


async def test_tenants_do_not_find_each_others(tower):
    await tower.ask(x=pixels(1), tenant="acme")

    assert (await tower.ask(x=pixels(1), tenant="rival")).provenance.feature_level == ""
    assert tower.runs == [1, 1]


async def test_a_request_whose_answer_may_not_be_kept_finds_and_leaves_none(tower):
    """Only a request that the cache's look-up has given a key is one that may."""
    await tower.ask(x=pixels(1), key=b"")
    await tower.ask(x=pixels(1))
    await tower.ask(x=pixels(1), key=b"")

    assert tower.runs == [1, 1, 1]
    assert [event.outcome for event in tower.telemetry.of(CacheLookedUp)] == ["miss"]


async def test_rows_are_looked_up_one_by_one(tower, tmp_path):
    await tower.ask(x=pixels(1, 2, 3))

    mixed = await tower.ask(x=pixels(9, 3, 8, 1))

    assert tower.runs == [3, 2]
    assert bytes(mixed.outputs[0].data) == plain(tmp_path, "tower", x=pixels(9, 3, 8, 1))[0]
    assert (await tower.ask(x=pixels(8))).provenance.feature_level == L3


async def test_many_rows_are_looked_up_as_a_whole(tmp_path, worlds):
    models.write_split(tmp_path, models.TOWER, ["second"])
    world = World(tmp_path, tower=BatchingSettings(max_batch_size=200))
    worlds.append(world)
    many = pixels(*range(MOST_PARTS + 1))

    await world.ask(x=many)
    await world.ask(x=pixels(3))
    again = await world.ask(x=many)

    assert (world.runs, again.provenance.feature_level) == ([MOST_PARTS + 1, 1], L3)
    assert len(world.telemetry.of(CacheLookedUp)) == 3


async def test_misses_share_runs_of_the_backbone(tmp_path, worlds):
    models.write_split(tmp_path, models.TOWER, ["second"])
    world = World(tmp_path, tower=BatchingSettings(max_batch_size=4, max_queue_delay_microseconds=500_000))
    worlds.append(world)

    answers = await asyncio.gather(*(world.ask(x=pixels(value)) for value in range(4)))

    assert world.runs == [4]
    assert [len(answer.outputs[0].data) for answer in answers] == [12] * 4


async def test_tenants_share_runs_of_neither_stage(tmp_path, worlds):
    models.write_split(tmp_path, models.TOWER, ["second"])
    world = World(tmp_path, tower=BatchingSettings(max_queue_delay_microseconds=2_000))
    worlds.append(world)

    await asyncio.gather(*(world.ask(x=pixels(nth), tenant=tenant) for nth, tenant in enumerate("abab")))

    assert world.runs == [2, 2]
    assert [event.requests for event in world.telemetry.of(BatchRan)] == [2, 2]


async def test_nor_where_nothing_is_kept(tmp_path, worlds):
    models.write_split(tmp_path, models.TOWER, ["second"])
    world = World(tmp_path, tower=BatchingSettings(max_queue_delay_microseconds=2_000))
    worlds.append(world)

    await asyncio.gather(*(world.ask(x=pixels(1), key=b"", tenant=tenant) for tenant in "abab"))

    assert world.runs == [2, 2]


async def test_inputs_are_passed_to_the_head_and_are_not_in_the_key(tmp_path, worlds):
    models.write_split(tmp_path, models.TWO, ["embedding"], ["user"])
    world = World(tmp_path)
    worlds.append(world)
    users = [np.full((2, 3), value, np.float32) for value in (1, 2)]

    answers = [await world.ask("two", x=pixels(1, 2), user=user) for user in users]

    assert (world.runs, answers[1].provenance.feature_level) == ([2], L3)
    assert [bytes(each.data) for each in answers[1].outputs] == plain(
        tmp_path, "two", x=pixels(1, 2), user=users[1]
    )


async def test_texts_nan_and_models_without_a_batch(tmp_path, worlds):
    models.write_split(tmp_path, TEXTS, ["wide"], shape=np.array([1, 6]))
    models.write_split(tmp_path, FIXED, ["first"])
    models.write_split(tmp_path, models.TOWER, ["second"])
    world = World(tmp_path)
    worlds.append(world)
    texts = np.array([[b"a"], [b"longer"]], object)

    for model, array, arrays in (
        ("words", texts, {"t": texts}),
        ("fixed", pixels(1, 2), {"x": pixels(1, 2)}),
        ("tower", pixels(np.nan), {"x": pixels(np.nan)}),
    ):
        for level in ("", L3):
            answer = await world.ask(model, **arrays)
            assert answer.provenance.feature_level == level, model
            assert bytes(answer.outputs[0].data) == plain(tmp_path, model, **arrays)[0], array
    assert (await world.ask("words", t=texts[1:])).provenance.feature_level == L3


async def test_shapes_of_the_configuration_are_those_of_the_graph_in_the_key(tmp_path, worlds):
    version = models.write_split(tmp_path, models.TOWER, ["second"])
    (version.parent / "config.pbtxt").write_text(
        """backend: "onnxruntime" max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: [2, 2] reshape: { shape: 4 } }
        output { name: "y" data_type: TYPE_FP32 dims: 3 }"""
    )
    shutil.copytree(version, tmp_path / "flat" / "1")
    world = World(tmp_path)
    worlds.append(world)
    await world.ask("tower", x=pixels(1).reshape(1, 2, 2))

    assert (await world.ask("flat", x=pixels(1))).provenance.feature_level == L3


async def test_a_model_whose_configuration_forbids_it_keeps_nothing(tmp_path, worlds):
    version = models.write_split(tmp_path, models.TOWER, ["second"])
    (version.parent / "config.pbtxt").write_text(
        'backend: "onnxruntime" max_batch_size: 8 response_cache { enable: false }'
    )
    world = World(tmp_path)
    worlds.append(world)

    answers = [await world.ask(x=pixels(1)) for _ in range(2)]

    assert [answer.provenance.feature_level for answer in answers] == ["", ""]
    assert world.telemetry.of(CacheLookedUp) == []


async def test_values_that_the_backbone_cannot_use_are_the_callers_error(tmp_path, worlds):
    models.write_split(tmp_path, GATHER, ["first"], table=np.array([1, 2, 3, 4], np.float32))
    world = World(tmp_path)
    worlds.append(world)

    for _ in range(2):
        with pytest.raises(GatewayError) as wrong:
            await world.ask("gather", i=np.array([[9]]))
        assert wrong.value.fault is Fault.INVALID
    assert (await world.ask("gather", i=np.array([[3]]))).outputs[0].numpy().tolist() == [[16.0]]


async def test_a_caller_who_leaves_harms_nobody(tmp_path, worlds):
    models.write_split(tmp_path, models.TOWER, ["second"])
    world = World(tmp_path, tower=BatchingSettings(max_batch_size=2, max_queue_delay_microseconds=100_000))
    worlds.append(world)
    leaving, staying = (asyncio.create_task(world.ask(x=pixels(1))) for _ in range(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()

    answer = await staying

    assert len(answer.outputs[0].data) == 12
    assert world.runs == [1]
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_what_waits_between_the_stages_ends_before_the_old_version_does(tmp_path, worlds):
    """The repository takes the version away while a request waits for what is held elsewhere."""
    models.write_split(tmp_path, models.TOWER, ["second"])
    store = Waiting()
    world = World(tmp_path, store)
    worlds.append(world)
    asked = asyncio.create_task(world.ask(x=pixels(1)))
    while not store.asked:
        await asyncio.sleep(0)

    gone = asyncio.create_task(world.repository.unload("tower"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not gone.done()
    store.go.set()
    answer = await asked
    await gone

    assert len(answer.outputs[0].data) == 12
    with pytest.raises(GatewayError, match="unknown model"):
        await world.ask(x=pixels(1))
