"""The Service over the models of this process, with the real ONNX Runtime."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edge_models.batch_scope import SCOPES, per_tenant
from edge_models.errors import ModelError
from edge_models.executors import ThreadExecutor
from edge_models.predictor import Predictor
from edge_models.registry import Registry
from edge_models.settings import BatchingSettings, ModelsSettings
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Provenance, Request
from gateway.core.telemetry import BatchRan
from gateway.core.tensor import Tensor
from tests.edge_models import onnx_models
from tests.edge_models.executors import Held
from tests.fakes.service import request
from tests.fakes.telemetry import RecordingTelemetry


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Registry:
    repository = tmp_path_factory.mktemp("models")
    models = {
        "digits": onnx_models.affine(),
        "lookup": onnx_models.lookup(),
        "mlp": onnx_models.mlp(),
        "free": onnx_models.refold(),
        "softmax": onnx_models.softmax(),
        "total": onnx_models.total(),
        "untold": onnx_models.untold_total(),
        "words": onnx_models.echo_text(),
    }
    for name, content in models.items():
        onnx_models.write(repository, name, content)
    onnx_models.write(repository, "digits", onnx_models.affine(3.0), "2")
    return Registry.load(ModelsSettings(repository=str(repository)))


def predictor(
    registry,
    workers=None,
    telemetry=None,
    *,
    origin="central",
    scope_of=per_tenant,
    **batching: BatchingSettings,
):
    return Predictor(
        registry,
        workers or ThreadExecutor(1),
        batching=batching,
        region="eu-west",
        origin=origin,
        clock=LoopClock(),
        telemetry=telemetry or RecordingTelemetry(),
        scope_of=scope_of,
    )


def ask(model: str, **arrays: Any) -> Request:
    return Request(model, tuple(Tensor.from_numpy(name, np.asarray(a)) for name, a in arrays.items()))


def images(*values: float) -> Any:
    return np.repeat(np.array(values, np.float32)[:, None], 4, axis=1)


async def test_an_answer_says_who_computed_it(registry):
    """Model, version, tier, region and digest; the highest version answers when none is named."""
    subject = predictor(registry)

    newest = await subject(request(5.0))
    oldest = await subject(request(5.0, version="1"))
    await subject.close()

    digest = registry.get("digits").session.digest
    assert (newest.model, newest.version) == ("digits", "2")
    assert newest.provenance == Provenance("central", certified=True, region="eu-west", digest=digest)
    assert newest.outputs[0].numpy().tolist() == [[15.0] * 4]
    assert oldest.version == "1"
    assert oldest.outputs[0].numpy().tolist() == [[10.0] * 4]


async def test_an_edge_answer_is_not_certified_by_itself(registry):
    """Only a certificate certifies, and that is not the predictor's business."""
    subject = predictor(registry, origin="edge")

    answer = await subject(request())
    await subject.close()

    assert (answer.provenance.origin, answer.provenance.certified) == ("edge", False)


async def test_outputs_come_as_requested(registry):
    """All in the order of the model, or those named in the order of the request."""
    subject = predictor(registry)
    inputs = (Tensor.from_numpy("image", images(1.0)),)

    every = await subject(Request("softmax", inputs))
    named = await subject(Request("softmax", inputs, outputs=("probabilities",)))
    await subject.close()

    assert [output.name for output in every.outputs] == ["label", "probabilities"]
    assert [output.name for output in named.outputs] == ["probabilities"]


@pytest.mark.parametrize(
    ("bad", "fault", "message"),
    [
        (request(model="x"), Fault.NOT_FOUND, "Request for unknown model: 'x' is not found"),
        (
            request(version="9"),
            Fault.NOT_FOUND,
            "Request for unknown model: 'digits' version 9 is not found",
        ),
        (
            ask("digits", image=np.zeros((1, 5), np.float32)),
            Fault.INVALID,
            "unexpected shape for input 'image' for model 'digits'. Expected [-1,4], got [1,5]",
        ),
        (
            ask("digits", image=np.zeros((9, 4), np.float32)),
            Fault.INVALID,
            "inference request batch-size must be <= 8 for 'digits'",
        ),
        (request(outputs=("x",)), Fault.INVALID, "unexpected inference output 'x' for model 'digits'"),
        (
            ask("lookup", index=np.array([[99]])),
            Fault.INVALID,
            (
                "the model cannot use the values of the inputs: Gather node: indices element out of data "
                "bounds, … must be within the inclusive range […,…]"
            ),
        ),
        (
            ask("free", image=np.zeros((1, 4), np.float32)),
            Fault.INVALID,
            (
                "the model cannot use the values of the inputs: Reshape node: "
                "input_shape_size == requested_shape_size was false. The input tensor cannot be reshaped to "
                "the requested shape. Input shape:{…,…}, requested shape:{…,…}"
            ),
        ),
    ],
)
async def test_bad_requests_are_refused_with_a_reason(registry, bad, fault, message):
    """What the model does not take is refused before it is queued; what only the run finds, after."""
    subject = predictor(registry, digits=BatchingSettings(max_batch_size=8))

    with pytest.raises(GatewayError) as caught:
        await subject(bad)
    await subject.close()

    assert (caught.value.fault, caught.value.message) == (fault, message)


async def test_values_that_are_not_finite_are_answered_as_they_are(registry):
    """NaN in, NaN out: whether to trust it is for others to say."""
    subject = predictor(registry)

    answer = await subject(request(float("nan")))
    await subject.close()

    assert np.isnan(answer.outputs[0].numpy()).all()


async def test_text_travels_through(registry):
    """BYTES in, BYTES out, joined or not."""
    subject = predictor(registry)
    texts = [ask("words", text=np.array([[text.encode()]], object)) for text in ("grüß", "", "dich")]

    answers = await asyncio.gather(*map(subject, texts))
    await subject.close()

    assert [a.outputs[0].numpy().item() for a in answers] == ["grüß".encode(), b"", b"dich"]


async def held_batch(registry, requests, **batching) -> tuple[list[Any], list[int]]:
    """Answers (or errors) to ``requests`` joined in one batch, and the sizes of all runs but the first."""
    held, telemetry = Held(), RecordingTelemetry()
    subject = predictor(registry, ThreadExecutor(1, executor=held), telemetry, **batching)
    blocker = asyncio.create_task(subject(request()))
    await asyncio.sleep(0)
    tasks = [asyncio.create_task(subject(each)) for each in requests]
    await asyncio.sleep(0)
    while held.runs:
        held.let_go()
        for _ in range(4):
            await asyncio.sleep(0)
    await blocker
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    await subject.close()
    return answers, [event.size for event in telemetry.of(BatchRan)][1:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(0, 2**31))
def test_alone_is_the_same_as_in_any_batch(registry, counts, seed):
    """Whoever shares the run, each row's answer is what it is alone, bit for bit."""
    random = np.random.default_rng(seed)
    sent = [ask("digits", image=random.normal(size=(n, 4)).astype(np.float32)) for n in counts]
    session = registry.get("digits").session

    answers, sizes = asyncio.run(held_batch(registry, sent))

    assert sizes == [sum(counts)]
    for each, answer in zip(sent, answers, strict=True):
        (alone,) = session.run({"image": each.inputs[0].numpy()})
        assert np.array_equal(answer.outputs[0].numpy(), alone)


async def test_a_dense_network_is_the_same_alone_and_in_any_batch(registry):
    """Float kernels may add up in another order for another batch size, and no further apart than that."""
    random = np.random.default_rng(3)
    sent = [ask("mlp", image=random.normal(size=(n, 784)).astype(np.float32)) for n in (1, 2, 3, 1, 16)]
    session = registry.get("mlp").session

    answers, sizes = await held_batch(registry, sent)

    assert sizes == [23]
    for each, answer in zip(sent, answers, strict=True):
        (alone,) = session.run({"image": each.inputs[0].numpy()})
        np.testing.assert_allclose(answer.outputs[0].numpy(), alone, rtol=1e-5, atol=1e-7)


async def test_one_bad_request_of_four_fails_alone(registry):
    """An index out of range fails the joined run; the other three are answered."""
    sent = [ask("lookup", index=np.array([[index]])) for index in (0, 99, 2, 3)]

    answers, sizes = await held_batch(registry, sent)

    assert sizes == [4]
    assert [a.outputs[0].numpy().item() for a in (answers[0], *answers[2:])] == [10, 12, 13]
    assert answers[1].fault is Fault.INVALID


@pytest.mark.parametrize("model", ["total", "untold"])
async def test_a_sum_over_the_batch_is_never_shared(registry, model):
    """A model without a row for each row answers each request alone, even when its file says otherwise."""
    sent = [ask(model, image=images(value, value)) for value in (1.0, 10.0)]

    answers, _ = await held_batch(registry, sent)

    assert [a.outputs[0].numpy().tolist() for a in answers] == [[[2.0] * 4], [[20.0] * 4]]


async def test_small_requests_can_run_on_the_loop(registry):
    """Inline, a small request needs no thread; a larger one still gets its own."""
    held, telemetry = Held(), RecordingTelemetry()
    inline = BatchingSettings(inline_max_rows=2)
    subject = predictor(registry, ThreadExecutor(1, executor=held), telemetry, softmax=inline)

    small = await subject(ask("softmax", image=images(1.0, 2.0)))
    large = asyncio.create_task(subject(ask("softmax", image=images(1.0, 2.0, 3.0))))
    await asyncio.sleep(0)

    assert small.outputs[0].shape == (2,)
    assert telemetry.of(BatchRan)[0].size == 2
    assert repr(subject).endswith("on <ThreadExecutor 1/1 busy, 0 waiting>>")
    held.let_go()
    assert (await large).outputs[0].shape == (3,)
    await subject.close()


async def test_small_requests_of_one_turn_can_share_a_run_on_the_loop(registry):
    """No thread, one run, at most so many rows; each gets what it would have got alone; a larger one waits."""
    held, telemetry = Held(), RecordingTelemetry()
    joining = BatchingSettings(inline_max_rows=3, inline_join=True)
    subject = predictor(registry, ThreadExecutor(1, executor=held), telemetry, softmax=joining)
    small = [ask("softmax", image=images(float(value))) for value in range(4)]

    large = asyncio.create_task(subject(ask("softmax", image=images(1.0, 2.0, 3.0, 4.0))))
    answers = await asyncio.gather(*map(subject, small))

    assert [(ran.size, ran.requests) for ran in telemetry.of(BatchRan)] == [(3, 3), (1, 1)]
    for sent, answer in zip(small, answers, strict=True):
        assert answer.outputs == (await subject(sent)).outputs
    assert not large.done()
    held.let_go()
    assert (await large).outputs[0].shape == (4,)
    await subject.close()


async def test_runs_are_in_a_thread_by_default(registry):
    """By default nothing runs on the loop."""
    workers = ThreadExecutor(1)
    subject = predictor(registry, workers)

    await subject(request())

    assert any(thread.name.startswith("edgeway-model") for thread in threading.enumerate())
    await subject.close()


def test_rows_of_free_size_never_run_on_the_loop(registry):
    """Nobody could say how long the loop would stand still."""
    with pytest.raises(ModelError, match="model 'free' must not run on the event loop"):
        predictor(registry, free=BatchingSettings(inline_max_rows=1))


async def test_a_caller_that_leaves_leaves_nothing_behind(registry):
    """Cancelled while queued: the queue is empty again and the others are served."""
    held = Held()
    subject = predictor(registry, ThreadExecutor(1, executor=held))
    running = asyncio.create_task(subject(request()))
    await asyncio.sleep(0)
    queued = asyncio.create_task(subject(request()))
    await asyncio.sleep(0)

    queued.cancel()
    await asyncio.sleep(0)

    assert "<Batcher digits 0 queued, 1 running>" in repr(subject)
    held.let_go()
    assert (await running).version == "2"
    await subject.close()


@pytest.mark.parametrize("inline_join", [False, True])
async def test_tenants_share_a_batch_where_they_share_a_scope(registry, inline_join):
    """Not by default; on the event loop neither."""
    callers = [Caller(tenant=tenant, residency="eu") for tenant in "aabab"]
    sizes = {}
    for scope, scope_of in SCOPES.items():
        telemetry = RecordingTelemetry()
        settings = (
            BatchingSettings(inline_max_rows=8, inline_join=True)
            if inline_join
            else BatchingSettings(max_queue_delay_microseconds=2_000)
        )
        subject = predictor(registry, None, telemetry, scope_of=scope_of, digits=settings)
        await asyncio.gather(*(subject(replace(request(), caller=caller)) for caller in callers))
        await subject.close()
        sizes[scope] = [event.requests for event in telemetry.of(BatchRan)]

    assert sizes == {"tenant": [3, 2], "residency": [5]}


async def test_close_answers_what_was_accepted(registry):
    """Draining finishes the queue; later requests are sent elsewhere."""
    subject = predictor(registry, digits=BatchingSettings(max_queue_delay_microseconds=10_000_000))
    tasks = [asyncio.create_task(subject(request(float(value)))) for value in range(3)]
    await asyncio.sleep(0)

    await subject.close()

    assert [(await task).outputs[0].numpy()[0, 0] for task in tasks] == [0.0, 3.0, 6.0]
    with pytest.raises(GatewayError, match="shutting down"):
        await subject(request())
