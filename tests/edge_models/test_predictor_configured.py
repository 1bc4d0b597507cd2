"""What a `config.pbtxt` orders is obeyed by the Service over the models, with the real ONNX Runtime."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from edge_models.errors import ModelError
from edge_models.executors import ThreadExecutor
from edge_models.registry import Registry
from edge_models.settings import BatchingSettings, ModelsSettings
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request
from gateway.core.telemetry import BatchRan
from gateway.core.tensor import Tensor
from tests.edge_models import onnx_models
from tests.edge_models.executors import Held
from tests.edge_models.test_batching import let_go
from tests.edge_models.test_predictor import ask, images, predictor
from tests.fakes.telemetry import RecordingTelemetry

IN = 'input { name: "image" data_type: TYPE_FP32 dims: [ 4 ] }\n'
OUT = 'output { name: "probabilities" data_type: TYPE_FP32 dims: [ 4 ] }\n'
WHOLE = IN + OUT


def registry(tmp_path, config: str, content: bytes | None = None, **settings: Any) -> Registry:
    onnx_models.write(tmp_path, "digits", content or onnx_models.affine())
    (tmp_path / "digits" / "config.pbtxt").write_text(config)
    return Registry.load(ModelsSettings(repository=str(tmp_path), **settings))


async def refused(subject, request: Request) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await subject(request)
    return caught.value


async def started(subject, *requests: Request) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.ensure_future(subject(request)) for request in requests]
    await asyncio.sleep(0)
    return tasks


def with_priority(priority: Any, *values: float) -> Request:
    array = Tensor.from_numpy("image", images(*values))
    return Request("digits", (array,), parameters={"priority": priority})


async def test_more_rows_than_the_file_allows_are_refused(tmp_path):
    """In Triton's words."""
    subject = predictor(registry(tmp_path, "max_batch_size: 2\n" + WHOLE))

    answer = await subject(ask("digits", image=images(1, 2)))
    error = await refused(subject, ask("digits", image=images(1, 2, 3)))
    await subject.close()

    assert answer.outputs[0].numpy()[:, 0].tolist() == [2, 4]
    assert (error.fault, error.message) == (
        Fault.INVALID,
        "inference request batch-size must be <= 2 for 'digits'",
    )


async def test_without_a_batch_the_first_dimension_is_as_any_other(tmp_path):
    """Requests of any size run, each alone, and none is refused for its rows."""
    telemetry, held = RecordingTelemetry(), Held()
    subject = predictor(
        registry(
            tmp_path,
            'input { name: "image" data_type: TYPE_FP32 dims: [ -1, 4 ] }\n'
            'output { name: "probabilities" data_type: TYPE_FP32 dims: [ -1, 4 ] }',
        ),
        ThreadExecutor(1, executor=held),
        telemetry,
    )

    tasks = await started(subject, *(ask("digits", image=images(*range(rows))) for rows in (1, 100, 3)))
    for _ in tasks:
        await let_go(held)
    answers = [await task for task in tasks]
    await subject.close()

    assert [answer.outputs[0].shape for answer in answers] == [(1, 4), (100, 4), (3, 4)]
    assert [(ran.size, ran.requests) for ran in telemetry.of(BatchRan)] == [(1, 1)] * 3


@pytest.mark.parametrize(
    ("batching", "runs"), [("", [(2, 1), (1, 1), (3, 1)]), ("dynamic_batching { }", [(2, 1), (4, 2)])]
)
async def test_only_dynamic_batching_merges(tmp_path, batching, runs):
    """Triton's default scheduler does not."""
    telemetry, held = RecordingTelemetry(), Held()
    subject = predictor(
        registry(tmp_path, f"max_batch_size: 4 {batching}\n{WHOLE}"),
        ThreadExecutor(1, executor=held),
        telemetry,
    )

    tasks = await started(subject, *(ask("digits", image=images(*range(rows))) for rows in (2, 1, 3)))
    for _ in runs:
        await let_go(held)
    answers = [await task for task in tasks]
    await subject.close()

    assert [(ran.size, ran.requests) for ran in telemetry.of(BatchRan)] == runs
    assert [answer.outputs[0].numpy()[:, 0].tolist() for answer in answers] == [[0, 2], [0], [0, 2, 4]]


async def test_priorities(tmp_path):
    """The parameter of the request, in either of the forms that clients send; other forms have the default."""
    held = Held()
    subject = predictor(
        registry(
            tmp_path,
            "max_batch_size: 1 dynamic_batching { priority_levels: 2 default_priority_level: 2 }\n" + WHOLE,
        ),
        ThreadExecutor(1, executor=held),
    )
    order: list[float] = []

    async def noted(request: Request) -> None:
        order.append((await subject(request)).outputs[0].numpy().flat[0])

    tasks = [
        asyncio.create_task(noted(with_priority(priority, value)))
        for value, priority in enumerate((0, 2, 0, 1, 7))
    ]
    await asyncio.sleep(0)
    for _ in tasks:
        await let_go(held)
    await asyncio.gather(*tasks)
    await subject.close()

    assert order == [0, 6, 2, 4, 8]


async def test_instances_bound_the_runs_at_once(tmp_path):
    """Of every version, whatever threads there are."""
    held = Held()
    workers = ThreadExecutor(4, executor=held)
    subject = predictor(
        registry(tmp_path, "max_batch_size: 1\ninstance_group { count: 2 kind: KIND_CPU }\n" + WHOLE), workers
    )

    tasks = await started(subject, *(ask("digits", image=images(value)) for value in range(5)))
    assert repr(workers) == "<ThreadExecutor 2/4 busy, 0 waiting>"
    for _ in tasks:
        await let_go(held)
    await asyncio.gather(*tasks)
    await subject.close()


async def test_shapes_are_those_of_the_file(tmp_path):
    """Clients send and get dims; requests of several shapes share a run as the graph has them."""
    telemetry, held = RecordingTelemetry(), Held()
    loaded = registry(
        tmp_path,
        """max_batch_size: 4 dynamic_batching { }
        input { name: "image" data_type: TYPE_FP32 dims: [ 2, 2 ] reshape { shape: [ 4 ] } }
        output { name: "probabilities" data_type: TYPE_FP32 dims: [ 1, 4, 1 ] reshape { shape: [ 4 ] } }""",
    )
    subject = predictor(loaded, ThreadExecutor(1, executor=held), telemetry)
    first, second, third = (np.full((rows, 2, 2), rows, np.float32) for rows in (1, 2, 1))

    tasks = await started(subject, *(ask("digits", image=array) for array in (first, second, third)))
    await let_go(held)
    await let_go(held)
    answers = [await task for task in tasks]
    error = await refused(subject, ask("digits", image=images(1)))
    spec = await loaded.describe("digits", "")
    await subject.close()

    assert [spec.inputs[0].shape, spec.outputs[0].shape] == [(-1, 2, 2), (-1, 1, 4, 1)]
    assert [answer.outputs[0].shape for answer in answers] == [(1, 1, 4, 1), (2, 1, 4, 1), (1, 1, 4, 1)]
    assert answers[1].outputs[0].numpy().ravel().tolist() == [4] * 8
    assert [ran.requests for ran in telemetry.of(BatchRan)] == [1, 2]
    assert "Expected [-1,2,2], got [1,4]" in error.message


async def test_outputs_of_the_graph_in_the_order_of_the_file(tmp_path):
    """An output that the file leaves out is not served, and each name has its own values."""
    three = onnx_models.softmax()
    only = 'output { name: "probabilities" data_type: TYPE_FP32 dims: [ 3 ] }'
    both = only + ' output { name: "label" data_type: TYPE_INT64 dims: 1 reshape { } }'
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = predictor(registry(tmp_path / "one", "max_batch_size: 4\n" + IN + only, three))
    two = predictor(registry(tmp_path / "two", "max_batch_size: 4\n" + IN + both, three))
    request = ask("digits", image=np.eye(2, 4, dtype=np.float32))

    alone, together = await one(request), await two(request)
    error = await refused(one, Request("digits", request.inputs, outputs=("label",)))
    await one.close()
    await two.close()

    assert [output.name for output in alone.outputs] == ["probabilities"]
    assert [output.name for output in together.outputs] == ["probabilities", "label"]
    assert together.outputs[1].shape == (2, 1)
    assert together.outputs[1].numpy().ravel().tolist() == [0, 1]
    assert alone.outputs[0] == together.outputs[0]
    assert error.message == "unexpected inference output 'label' for model 'digits'"


async def test_an_answer_that_is_not_as_the_file_has_it(tmp_path):
    """The graph leaves open what it will give: it is an error of the model, and of nobody else."""
    subject = predictor(
        registry(
            tmp_path,
            """max_batch_size: 4
            input { name: "image" data_type: TYPE_FP32 dims: [ -1 ] }
            output { name: "same" data_type: TYPE_FP32 dims: [ 2, 2 ] reshape { shape: [ 4 ] } }""",
            onnx_models.echo("free"),
        )
    )

    good = await subject(ask("digits", image=np.ones((1, 4), np.float32)))
    error = await refused(subject, ask("digits", image=np.ones((1, 3), np.float32)))
    await subject.close()

    assert good.outputs[0].shape == (1, 2, 2)
    assert error.fault is Fault.INTERNAL
    assert "'same'" in error.message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            "max_batch_size: 2\ndynamic_batching { preferred_batch_size: 3 }",
            "digits/config.pbtxt:2: preferred",
        ),
        (
            'max_batch_size: 2\ninput { name: "image" data_type: TYPE_FP32 dims: [ 3 ] reshape { shape: 4 } }',
            "digits/config.pbtxt:2: 'image' has different size",
        ),
    ],
)
async def test_what_cannot_be_obeyed_is_not_served(tmp_path, config, words):
    """The model is refused with the file and its line."""
    with pytest.raises(ModelError, match=words):
        predictor(registry(tmp_path, config))


async def test_settings_stand_for_the_file(tmp_path):
    """`models.batching` of this process."""
    subject = predictor(
        registry(tmp_path, "max_batch_size: 2\n" + WHOLE), digits=BatchingSettings(max_batch_size=3)
    )

    answer = await subject(ask("digits", image=images(1, 2, 3)))
    error = await refused(subject, ask("digits", image=images(1, 2, 3, 4)))
    await subject.close()

    assert answer.outputs[0].shape == (3, 4)
    assert "must be <= 3" in error.message


async def test_an_input_that_may_be_left_out(tmp_path):
    """The graph has a value for it, and a request may bring another."""
    inputs = [("image", onnx_models.FLOAT, [2, 4]), ("scale", onnx_models.FLOAT, [1])]
    node = onnx_models.helper.make_node("Mul", ["image", "scale"], ["probabilities"])
    outputs = [("probabilities", onnx_models.FLOAT, [2, 4])]
    content = onnx_models.model([node], inputs, outputs, scale=np.array([3], np.float32))
    config = """input [ { name: "image" data_type: TYPE_FP32 dims: [ 2, 4 ] },
      { name: "scale" data_type: TYPE_FP32 dims: [ 1 ] optional: true } ]
    output { name: "probabilities" data_type: TYPE_FP32 dims: [ 2, 4 ] }"""
    subject = predictor(registry(tmp_path, config, content))

    without = await subject(ask("digits", image=images(1, 2)))
    with_one = await subject(ask("digits", image=images(1, 2), scale=np.array([5], np.float32)))
    error = await refused(subject, ask("digits", scale=np.array([5], np.float32)))
    await subject.close()

    assert without.outputs[0].numpy()[:, 0].tolist() == [3, 6]
    assert with_one.outputs[0].numpy()[:, 0].tolist() == [5, 10]
    assert "expected between 1 and 2 inputs but got 1" in error.message
