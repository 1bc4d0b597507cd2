"""Models that take everything, under the real ONNX Runtime: each costs its own callers, and nobody else."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from edge_models.errors import ModelError
from edge_models.executors import ThreadExecutor
from edge_models.model_files import ModelFiles
from edge_models.predictor import MOST_GIVEN_UP, Predictor
from edge_models.registry import Registry
from edge_models.repository import ModelRepository
from edge_models.session import Session, StoppableRun
from edge_models.settings import BatchingSettings, ModelLimits, ModelsSettings
from gateway.core.catalog import IndexEntry
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request
from gateway.core.tensor import Tensor
from tests.edge_models import hostile_models, onnx_models
from tests.fakes.service import request
from tests.fakes.telemetry import RecordingTelemetry

INLINE = BatchingSettings(inline_max_rows=1)
JOINING = BatchingSettings(inline_max_rows=1, inline_join=True)
MIB = 1 << 20


class Shop:
    """A folder of models, what answers from them, and the orders."""

    def __init__(self, folder: Path, limits: ModelLimits, batching: dict[str, BatchingSettings]) -> None:
        self.folder = folder
        settings = ModelsSettings(
            repository=str(folder), limits={path.name: limits for path in folder.iterdir()}
        )
        self.registry = Registry.load(settings)
        self.executor = ThreadExecutor(1)
        self.predictor = Predictor(
            self.registry,
            self.executor,
            batching=batching,
            region="here",
            origin="central",
            clock=LoopClock(),
            telemetry=RecordingTelemetry(),
        )
        self.repository = ModelRepository(self.registry, self.predictor, batching)

    async def digits(self) -> float:
        """What the good model makes of 1: 2."""
        return float((await self.predictor(request(1.0))).outputs[0].numpy()[0, 0])

    def ask(self, value: float, seconds: float = 3600, model: str = "bad") -> asyncio.Task:
        """A request for the bad model."""
        inputs = (Tensor.from_numpy("x", np.full((1, 1), value, np.float32)),)
        deadline = asyncio.get_running_loop().time() + seconds
        return asyncio.create_task(_answered(self.predictor, Request(model, inputs, deadline=deadline)))


async def _answered(predictor: Predictor, asked: Request) -> float:
    answered = predictor(asked)
    answer = answered if hasattr(answered, "outputs") else await answered
    return float(answer.outputs[0].numpy()[0, 0])


def shop(folder: Path, bad: bytes, batching: BatchingSettings | None = None, **limits) -> Shop:
    onnx_models.write(folder, "digits", onnx_models.affine())
    onnx_models.write(folder, "bad", bad)
    made = ModelLimits(**{"max_mem_mib": 128, **limits})
    return Shop(folder, made, {} if batching is None else {"bad": batching})


async def fault(task: asyncio.Task) -> Fault:
    with pytest.raises(GatewayError) as refused:
        await task
    return refused.value.fault


async def test_an_endless_model_costs_the_others_nothing(tmp_path):
    """While it runs they are answered, loaded and unloaded; it ends at its caller's deadline."""
    subject = shop(tmp_path, hostile_models.loop())
    endless = [subject.ask(1, 8) for _ in range(3)]

    async with asyncio.timeout(60):
        for _ in range(3):
            assert await subject.digits() == 2
        await subject.repository.load("digits", {})
        await subject.repository.unload("digits")
        await subject.repository.load("digits", {})
        assert await subject.digits() == 2
    assert not any(task.done() for task in endless)

    assert [await fault(task) for task in endless] == [Fault.DEADLINE] * 3
    await subject.predictor.close()


async def test_a_model_that_never_ends_is_unloaded(tmp_path):
    """The order does not wait for its runs for ever, nobody gets at it any more, and a good one can come."""
    subject = shop(tmp_path, hostile_models.loop())
    endless = subject.ask(1)
    await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await subject.repository.unload("bad")
        assert await fault(subject.ask(1)) is Fault.NOT_FOUND
        onnx_models.write(tmp_path, "bad", hostile_models.loop(1))
        await subject.repository.load("bad", {})
        assert await subject.ask(1) == 3

    assert not endless.done()
    async with asyncio.timeout(60):
        await subject.predictor.close()
    assert await fault(endless) is Fault.DEADLINE


async def test_a_process_leaves_whatever_runs(tmp_path):
    """Closing stops runs that somebody still waits for."""
    subject = shop(tmp_path, hostile_models.loop())
    endless = [subject.ask(1) for _ in range(2)]
    await asyncio.sleep(0.1)

    async with asyncio.timeout(60):
        await subject.predictor.close()

    assert await fault(endless[0]) is Fault.DEADLINE
    endless[1].cancel()


async def test_the_models_own_limit(tmp_path):
    """Whatever deadline a request has; the next one is answered."""
    subject = shop(tmp_path, hostile_models.loop_by_value(), response_timeout_s=0.3)

    assert await fault(subject.ask(1 << 60)) is Fault.DEADLINE
    assert await subject.ask(3) == 3 + 3 * 8
    await subject.predictor.close()


@pytest.mark.parametrize("batching", [INLINE, JOINING], ids=["inline", "inline_join"])
async def test_a_model_that_holds_the_loop_leaves_it(tmp_path, batching, caplog):
    """Its run there is stopped; it goes on in a thread, and so do those after it."""
    subject = shop(tmp_path, hostile_models.loop_by_value(), batching)
    assert await subject.ask(1) == 3

    endless = subject.ask(1 << 60, 0.5)
    assert await fault(endless) is Fault.DEADLINE
    assert "held the event loop until its run was stopped" in caplog.text

    endless = subject.ask(1 << 60, 60)
    async with asyncio.timeout(30):
        await asyncio.sleep(0.1)
        assert await subject.digits() == 2
    assert not endless.done()
    endless.cancel()
    assert await subject.ask(1) == 3
    await subject.predictor.close()


async def test_a_model_with_a_run_that_was_given_up(tmp_path):
    """It is not ready, the index says why, and requests for it are refused; the others are as they were."""
    subject = shop(tmp_path, hostile_models.loop(1))
    subject.registry.get("bad").stuck.count = 1

    assert not await subject.registry.is_ready("bad", "")
    assert await subject.registry.is_ready("digits", "")
    assert IndexEntry("bad", "1", "UNAVAILABLE", "a run of it does not end") in subject.repository.index()
    assert await fault(subject.ask(1)) is Fault.UNAVAILABLE
    assert await subject.digits() == 2
    await subject.repository.load("bad", {})
    assert await subject.ask(1) == 3
    await subject.predictor.close()


async def test_so_many_runs_that_were_given_up(tmp_path):
    """No model is loaded in a process that has lost so many threads."""
    subject = shop(tmp_path, hostile_models.loop(1))
    subject.executor.given_up = MOST_GIVEN_UP

    with pytest.raises(GatewayError, match="restart this process"):
        await subject.repository.load("bad", {})
    assert await subject.ask(1) == 3
    await subject.predictor.close()


async def test_memory_is_bounded_for_each_model(tmp_path):
    """A run that wants more than its model may have fails, for the model's reasons; others are not concerned."""
    onnx_models.write(tmp_path, "small", hostile_models.sized_by_value())
    subject = shop(tmp_path, hostile_models.sized_by_value())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for value in (1 << 26, 1 << 40):
        with pytest.raises(GatewayError, match="needs more memory") as refused:
            await subject.ask(value)
        assert (refused.value.fault, refused.value.counts) == (Fault.INTERNAL, False)
        assert refused.value.why is not None
        assert refused.value.why.of_model

    assert await subject.ask(10) == 10
    assert await subject.ask(10, model="small") == 10
    assert await subject.digits() == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
    await subject.predictor.close()


def test_an_arena_is_one_models_own():
    """What one may have does not depend on what another was given before or after it."""
    content = hostile_models.sized_by_value()
    small = Session(Path("a"), ModelFiles(content), max_mem_bytes=16 * MIB)
    large = Session(Path("b"), ModelFiles(content), max_mem_bytes=256 * MIB)
    again = Session(Path("c"), ModelFiles(content), max_mem_bytes=16 * MIB)
    feed = {"x": np.full((1, 1), 25 * MIB / 4, np.float32)}

    assert large.run(feed)
    for session in (small, again):
        with pytest.raises(GatewayError, match="needs more memory"):
            session.run(feed)
    with pytest.raises(GatewayError, match="needs more memory"):
        Session(Path("d"), ModelFiles(hostile_models.growing()), max_mem_bytes=64 * MIB).run(feed)


def test_a_stopped_run_is_no_verdict_on_the_next():
    """Only the run that was stopped, and what goes on with it, ends."""
    session = Session(Path("a"), ModelFiles(hostile_models.loop(3)))
    run, other = StoppableRun(session), StoppableRun(session)
    feed = {"x": np.ones((1, 1), np.float32)}
    run.stop()

    with pytest.raises(GatewayError, match="did not answer in time") as stopped:
        run(feed)
    assert stopped.value.fault is Fault.DEADLINE
    assert repr(run).endswith(", stopped>")
    assert other(feed)[0].item() == 9


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "folder link", "device", "huge"])
async def test_what_is_no_file_of_the_repository(tmp_path, kind):
    """It is refused at once, by its name in the repository, and another model is loaded meanwhile."""
    subject = shop(tmp_path / "models", onnx_models.affine())
    outside = onnx_models.write(tmp_path / "outside", "other", onnx_models.affine())
    version = tmp_path / "models" / "odd" / "1"
    path = version / "model.onnx"
    if kind == "folder link":
        (tmp_path / "models" / "odd").symlink_to(outside / "other")
    else:
        version.mkdir(parents=True)
    words = {
        "fifo": "is a named pipe, and not a file",
        "link": "lies behind a link that leads out of 'models'",
        "folder link": "lies behind a link that leads out of 'models'",
        "folder": "is a folder, and not a file",
        "device": "is a device, and not a file",
        "huge": "has 1,048,576 MiB, and no more than 1,024 MiB are read",
    }[kind]
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "folder link":
        path.symlink_to({"link": outside / "other/1/model.onnx", "device": "/dev/zero"}.get(kind, "big"))
    if kind == "huge":
        (version / "big").touch()
        os.truncate(version / "big", 1 << 40)

    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(
            subject.repository.load("odd", {}), subject.repository.load("digits", {}), return_exceptions=True
        )

    assert str(outcomes[0]) == f"failed to load 'odd': odd/1/model.onnx: {words}"
    assert outcomes[1] is None
    with pytest.raises(ModelError, match=r"odd/1/model\.onnx: "):
        Registry.load(ModelsSettings(repository=str(tmp_path / "models"), exit_on_error=True))
    await subject.predictor.close()


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("../../../outside/weights", "leads out of the model's folder"),
        ("/proc/self/environ", "leads out of the model's folder"),
        ("..\\weights", "leads out of the model's folder"),
        ("missing", "cannot be read: No such file or directory"),
        ("link", "lies behind a link that leads out of 'models'"),
        ("pipe", "is a named pipe, and not a file"),
        ("huge", "has 1,048,576 MiB, and no more than 1,023 MiB are read"),
    ],
)
async def test_weights_elsewhere(tmp_path, location, why):
    """Only files of the model's own folder are read, and no more of them than one model may have."""
    subject = shop(tmp_path / "models", onnx_models.affine())
    onnx_models.write(tmp_path / "models", "odd", hostile_models.external(location))
    for folder in (tmp_path / "models/odd/1", tmp_path / "outside"):
        folder.mkdir(exist_ok=True)
        (folder / "weights").write_bytes(np.array([42], "<f4").tobytes())
    version = tmp_path / "models/odd/1"
    (version / "link").symlink_to(tmp_path / "outside/weights")
    os.mkfifo(version / "pipe")
    (version / "huge").touch()
    os.truncate(version / "huge", 1 << 40)

    with pytest.raises(GatewayError) as refused:
        await subject.repository.load("odd", {})

    message = f"odd/1/model.onnx: keeps weights in other files: '{location}' {why}"
    assert refused.value.message == f"failed to load 'odd': {message}"
    await subject.predictor.close()


async def test_a_file_that_takes_memory_to_be_loaded(tmp_path):
    """A few hundred bytes that come to a gigabyte: refused, at a start as well, and never in this process."""
    subject = shop(tmp_path, onnx_models.affine())
    onnx_models.write(tmp_path, "bad", hostile_models.sparse(1 << 28))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(GatewayError, match="takes more than 128 MiB of memory to be loaded"):
        await subject.repository.load("bad", {})
    with pytest.raises(ModelError, match=r"bad/1/model\.onnx: takes more than 1,024 MiB"):
        Registry.load(ModelsSettings(repository=str(tmp_path), exit_on_error=True))

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
    await subject.predictor.close()
