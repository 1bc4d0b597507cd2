"""The repository as an operator sees it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_models.errors import ModelError
from edge_models.executors import ThreadExecutor
from edge_models.predictor import Predictor
from edge_models.registry import Registry
from edge_models.repository import ModelRepository
from edge_models.settings import BatchingSettings, ModelsSettings
from gateway.core.catalog import IndexEntry
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import ModelSettings
from gateway.core.telemetry import ModelsRefused
from tests.edge_models import onnx_models
from tests.edge_models.executors import Held
from tests.fakes.service import request
from tests.fakes.telemetry import RecordingTelemetry

BATCHING = {"digits": BatchingSettings(max_batch_size=8, preferred_batch_size=(4,), max_queue_size=5)}


class Shop:
    """A repository of two models, and the predictor that answers from them; ``change`` is what follows a swap."""

    def __init__(self, folder: Path, executor: Held | None = None, **batching: BatchingSettings) -> None:
        self.folder = folder
        onnx_models.write(folder, "digits", onnx_models.affine())
        onnx_models.write(folder, "fixed", onnx_models.affine(batch=1))
        self.registry = Registry.load(ModelsSettings(repository=str(folder)))
        self.predictor = Predictor(
            self.registry,
            ThreadExecutor(1, executor=executor),
            batching=batching or BATCHING,
            region="here",
            origin="central",
            clock=LoopClock(),
            telemetry=RecordingTelemetry(),
        )
        self.changes = 0
        self.telemetry = RecordingTelemetry()
        self.changed = asyncio.Event()
        self.refusal: Exception | None = None
        self.repository = ModelRepository(
            self.registry,
            self.predictor,
            BATCHING,
            is_cached=lambda model: model == "digits",
            telemetry=self.telemetry,
            prepare=self.prepare,
        )

    def prepare(self, _model: str) -> Callable[[], None]:
        """Run in the loading thread; what it returns runs at the swap."""
        assert threading.current_thread() is not threading.main_thread()
        return self.change

    def change(self) -> None:
        assert threading.current_thread() is threading.main_thread()
        if self.refusal is not None:
            raise self.refusal
        self.changes += 1
        self.changed.set()

    async def answer(self, **changes) -> float:
        """What the model makes of 1: its factor."""
        answer = await self.predictor(request(1.0, **changes))
        return float(answer.outputs[0].numpy()[0, 0])

    async def refused(self, call) -> tuple[Fault, str]:
        with pytest.raises(GatewayError) as refused:
            await call
        return refused.value.fault, refused.value.message


@pytest.fixture
async def shop(tmp_path):
    made = Shop(tmp_path)
    yield made
    await made.predictor.close()


async def test_index(shop):
    """Everything that is loaded is ready."""
    assert shop.repository.index() == [IndexEntry("digits", "1", "READY"), IndexEntry("fixed", "1", "READY")]
    assert "digits/1" in repr(shop.repository)


async def test_settings(shop):
    """What the queue does is told; a model without a batch dimension, or held elsewhere, has none."""
    settings = shop.repository.settings
    assert settings("digits") == ModelSettings(8, (4,), 0, 5, is_cached=True, batches=True)
    assert settings("fixed") == ModelSettings(batches=False)
    assert settings("elsewhere") == ModelSettings()


async def test_unloaded_model_is_not_served(shop):
    """Nobody finds it, the index says why, and unloading it again is no error."""
    for _ in range(2):
        await shop.repository.unload("digits")

    fault, message = await shop.refused(shop.answer())
    assert (fault, message) == (Fault.NOT_FOUND, "Request for unknown model: 'digits' is not found")
    assert (await shop.refused(shop.registry.is_ready("digits", "")))[0] is Fault.NOT_FOUND
    assert IndexEntry("digits", "1", "UNAVAILABLE", "unloaded") in shop.repository.index()
    assert shop.changes == 1


async def test_model_is_loaded_as_it_is_now(shop):
    """Another file, another version, and a model that was not there at the start."""
    onnx_models.write(shop.folder, "digits", onnx_models.affine(5.0))
    onnx_models.write(shop.folder, "digits", onnx_models.affine(7.0), "12")
    onnx_models.write(shop.folder, "late", onnx_models.affine(9.0))
    assert await shop.answer() == 2.0

    await shop.repository.unload("digits")
    for model in ("digits", "late"):
        await shop.repository.load(model, {})

    assert [await shop.answer(), await shop.answer(version="1")] == [7.0, 5.0]
    assert await shop.answer(model="late") == 9.0
    assert {(entry.name, entry.version, entry.state) for entry in shop.repository.index()} == {
        ("digits", "1", "READY"),
        ("digits", "12", "READY"),
        ("fixed", "1", "READY"),
        ("late", "1", "READY"),
    }


async def test_version_that_is_gone_from_the_folder(shop):
    """It is not served after the next load."""
    onnx_models.write(shop.folder, "digits", onnx_models.affine(7.0), "2")
    await shop.repository.load("digits", {})
    assert await shop.answer() == 7.0

    (shop.folder / "digits" / "2" / "model.onnx").unlink()
    (shop.folder / "digits" / "2").rmdir()
    await shop.repository.load("digits", {})

    assert await shop.answer() == 2.0
    assert "version 2 is not found" in (await shop.refused(shop.answer(version="2")))[1]


async def test_folders_that_are_not_served_are_counted(tmp_path):
    """Bad ones, and those of other backends, at the start and when an order has changed that."""
    onnx_models.write(tmp_path, "broken", b"nonsense")
    (tmp_path / "python" / "1").mkdir(parents=True)
    (tmp_path / "python" / "1" / "model.py").write_text("")
    shop = Shop(tmp_path)

    def count() -> ModelsRefused:
        return shop.telemetry.of(ModelsRefused)[-1]

    assert count() == ModelsRefused(bad=1, foreign=1)
    onnx_models.write(tmp_path, "python", onnx_models.affine())
    await shop.repository.load("python", {})
    assert count() == ModelsRefused(bad=1, foreign=0)
    (tmp_path / "broken" / "config.pbtxt").write_text('backend: "python"')
    await shop.refused(shop.repository.load("broken", {}))
    assert count() == ModelsRefused(bad=0, foreign=1)
    await shop.refused(shop.repository.load("nowhere", {}))
    assert count() == ModelsRefused(bad=0, foreign=1)


async def test_a_folder_that_is_refused_again_has_the_last_reason(tmp_path):
    """Not that of its start; a trial with files of the order's own says nothing of the folder."""
    onnx_models.write(tmp_path, "broken", b"nonsense")
    shop = Shop(tmp_path)

    def reason() -> str:
        (entry,) = (each for each in shop.repository.index() if each.name == "broken")
        return entry.reason

    first = reason()
    (tmp_path / "broken" / "config.pbtxt").write_text("max_batch_sizes: 8")
    await shop.refused(shop.repository.load("broken", {"config": "{", "file:1/model.onnx": b""}))
    assert reason() == first
    await shop.refused(shop.repository.load("broken", {}))
    assert "max_batch_sizes" in reason()

    onnx_models.write(tmp_path, "broken", onnx_models.affine())
    (tmp_path / "broken" / "config.pbtxt").unlink()
    await shop.repository.load("broken", {})
    assert {each.state for each in shop.repository.index()} == {"READY"}


async def test_corrupt_file_changes_nothing(shop):
    """It is refused by name, and the model that was loaded before answers on."""
    onnx_models.write(shop.folder, "digits", b"nonsense")

    fault, message = await shop.refused(shop.repository.load("digits", {}))

    assert fault is Fault.INVALID
    assert message.startswith("failed to load 'digits': ")
    assert "model.onnx: is not a model" in message
    assert await shop.answer() == 2.0
    assert shop.changes == 0


async def test_model_that_does_not_fit_changes_nothing(shop):
    """What depends on the models may refuse another one; then all is as it was, for requests and questions."""
    onnx_models.write(shop.folder, "digits", onnx_models.affine(5.0), "2")
    shop.refusal = ModelError("it has no output to score")

    fault, message = await shop.refused(shop.repository.load("digits", {}))

    assert (fault, message) == (Fault.INVALID, "failed to load 'digits': it has no output to score")
    assert await shop.answer() == 2.0
    assert [entry.version for entry in shop.repository.index() if entry.name == "digits"] == ["1"]


@pytest.mark.parametrize("name", ["x", "../digits", "digits/1", "", ".."])
async def test_what_is_no_model(shop, name):
    """No name leads out of the repository; there is nothing to unload, which is no error."""
    fault, message = await shop.refused(shop.repository.load(name, {}))

    assert fault is Fault.NOT_FOUND
    assert "failed to load" in message
    await shop.repository.unload(name)
    assert [entry.state for entry in shop.repository.index()] == ["READY", "READY"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"priority": 1}, "parameters 'priority' are not supported"),
        ({"file:1/model.onnx": b"x"}, "a file override needs a configuration override"),
        ({"config": "{"}, "config: Expecting"),
        ({"config": '{"max_batch_size": -1}'}, "digits/config: 'max_batch_size' must be non-negative"),
        (
            {"config": "{}", "file:1/model.onnx": b"x"},
            "digits/1/model.onnx: is not a model that ONNX Runtime",
        ),
        ({"config": "{}", "file:../x": b"x"}, "is no path of a file in a model's folder"),
        ({"config": '{"backend": "python"}'}, "of the backend 'python' does not run here"),
    ],
)
async def test_what_an_order_may_not_bring(shop, parameters, words):
    """What was served is served on."""
    before = shop.registry.get("digits")

    fault, message = await shop.refused(shop.repository.load("digits", parameters))

    assert fault is Fault.INVALID
    assert message.startswith("failed to load 'digits'")
    assert words in message
    assert shop.registry.get("digits") is before


async def test_an_order_brings_a_configuration_and_files_until_the_next(shop):
    """They are nowhere but in memory: the next plain order has the folder's again."""
    before = shop.registry.get("digits").session.digest

    await shop.repository.load("digits", {"config": '{"max_batch_size": 3}'})
    assert shop.registry.get("digits").config.max_batch_size == 3
    assert shop.registry.get("digits").session.digest == before

    await shop.repository.load("digits", {"config": "{}", "file:7/model.onnx": onnx_models.affine(9.0)})
    assert [model.version for model in shop.registry if model.name == "digits"] == ["7"]
    assert shop.registry.get("digits").session.digest != before

    await shop.repository.load("digits", {})
    assert shop.registry.get("digits").config is None
    assert shop.registry.get("digits").session.digest == before


async def test_what_is_not_served_stands_in_the_index(tmp_path):
    """With its reason, and without the place of the repository; once it is loaded it is as any other."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())
    onnx_models.write(tmp_path, "bad", b"garbage", "3")
    (tmp_path / "empty").mkdir()
    shop = Shop(tmp_path)

    bad, empty = [entry for entry in shop.repository.index() if entry.state != "READY"]
    assert (bad.name, bad.version, bad.state) == ("bad", "3", "UNAVAILABLE")
    assert bad.reason.startswith("bad/3/model.onnx: is not a model that ONNX Runtime can load")
    assert (empty.name, empty.version) == ("empty", "")

    onnx_models.write(tmp_path, "bad", onnx_models.affine(), "3")
    await shop.repository.load("bad", {})
    states = {entry.name: entry.state for entry in shop.repository.index()}
    assert states == {"digits": "READY", "fixed": "READY", "bad": "READY", "empty": "UNAVAILABLE"}


@pytest.mark.parametrize("order", ["load", "unload"])
async def test_what_was_accepted_is_answered(tmp_path, order):
    """By the model that it was accepted for; the order is done when the last of it is."""
    executor = Held()
    shop = Shop(tmp_path, executor, digits=BatchingSettings(max_batch_size=1))
    waiting = [asyncio.create_task(shop.answer()) for _ in range(3)]
    await asyncio.sleep(0)
    onnx_models.write(tmp_path, "digits", onnx_models.affine(5.0))

    call = shop.repository.load("digits", {}) if order == "load" else shop.repository.unload("digits")
    ordered = asyncio.create_task(call)
    async with asyncio.timeout(30):
        await shop.changed.wait()
        await asyncio.sleep(0.01)
        assert not ordered.done()
        while not ordered.done():
            if executor.runs:
                executor.let_go()
            await asyncio.sleep(0)

    assert await asyncio.gather(*waiting) == [2.0, 2.0, 2.0]
    await ordered
