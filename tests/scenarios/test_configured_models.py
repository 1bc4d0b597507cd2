"""What a `config.pbtxt` orders, over real sockets: tritonclient against one central tier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

from tests.edge_models import hostile_models, onnx_models
from tests.fakes.redis_server import free_port
from tests.scenarios.test_sequences import CENTRAL, serve

KINDS = {"http": http_aio, "grpc": grpc_aio}
LONG = 3e5
"""Additions that keep the only thread busy while the others come."""

CLASSES = """max_batch_size: 4
input { name: "image" data_type: TYPE_FP32 dims: [ 2, 2 ] reshape { shape: 4 } }
output { name: "probabilities" data_type: TYPE_FP32 dims: 3 label_filename: "labels.txt" }
output { name: "label" data_type: TYPE_INT64 dims: 1 reshape { } }
model_warmup {
  name: "zeros" batch_size: 4 count: 2
  inputs { key: "image" value { data_type: TYPE_FP32 dims: [ 2, 2 ] zero_data: true } }
}"""
QUEUED = """max_batch_size: 1
input { name: "x" data_type: TYPE_FP32 dims: 1 }
output { name: "y" data_type: TYPE_FP32 dims: 1 }
instance_group { count: 1 kind: KIND_CPU }
dynamic_batching {
  priority_levels: 3 default_priority_level: 2
  priority_queue_policy { key: 3 value { default_timeout_microseconds: 1000 max_queue_size: 1 } }
}"""


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@asynccontextmanager
async def served(tmp_path, kind: str) -> AsyncIterator[tuple[Any, Any]]:
    """The client's module, and a client."""
    models = tmp_path / "models"
    onnx_models.write(models, "classes", onnx_models.softmax())
    (models / "classes" / "config.pbtxt").write_text(CLASSES)
    (models / "classes" / "labels.txt").write_text("cat\ndog\n")
    onnx_models.write(models, "queued", hostile_models.loop_by_value("n"))
    (models / "queued" / "config.pbtxt").write_text(QUEUED)
    ports = {"http": free_port(), "grpc": free_port()}
    async with AsyncExitStack() as lifetimes:
        await serve(tmp_path / "central", CENTRAL.format(repository=models, **ports), lifetimes)
        client = KINDS[kind].InferenceServerClient(f"127.0.0.1:{ports[kind]}")
        lifetimes.push_async_callback(client.close)
        yield KINDS[kind], client


def tensor(module: Any, name: str, array: np.ndarray) -> list[Any]:
    entry = module.InferInput(name, list(array.shape), "FP32")
    entry.set_data_from_numpy(array)
    return [entry]


async def test_classes_have_their_labels(tmp_path, kind):
    """One that has none in the file has its number alone; shapes are the file's."""
    async with served(tmp_path, kind) as (module, client):
        images = np.eye(3, 4, dtype=np.float32).reshape(3, 2, 2)
        wanted = [module.InferRequestedOutput("probabilities", class_count=1)]

        answer = await client.infer("classes", tensor(module, "image", images), outputs=wanted)
        whole = await client.infer("classes", tensor(module, "image", images))

    texts = [text.decode().split(":", 1)[1] for text in answer.as_numpy("probabilities").ravel()]
    assert texts == ["0:cat", "1:dog", "2"]
    assert whole.as_numpy("label").tolist() == [[0], [1], [2]]


async def test_priorities_and_queue_policies(tmp_path, kind):
    """The highest first; the lowest has a short queue, and a short patience."""
    done: list[str] = []

    async with served(tmp_path, kind) as (module, client):

        async def ask(name: str, value: float, priority: int = 0) -> str:
            array = np.array([[value]], np.float32)
            try:
                await client.infer(
                    "queued", tensor(module, "x", array), priority=priority, timeout=60_000_000
                )
            except InferenceServerException as error:
                return str(error.message())
            done.append(name)
            return ""

        running = asyncio.create_task(ask("long", LONG))
        await asyncio.sleep(0.1)
        calls = [asyncio.create_task(ask("patient", 0))]
        await asyncio.sleep(0.02)
        calls.append(asyncio.create_task(ask("first", 0, 1)))
        expired = await ask("late", 0, 3)
        is_busy = not running.done()
        await asyncio.gather(running, *calls)

    assert is_busy, "the thread was to be busy all the time"
    assert expired.startswith("Request timeout expired")
    assert done == ["long", "first", "patient"]
