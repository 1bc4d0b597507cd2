"""Sequences through the whole Predictor, with ONNX Runtime: order, states, controls, bounds, and who may."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from edge_models.executors import ThreadExecutor
from edge_models.predictor import Predictor
from edge_models.registry import Registry
from edge_models.repository import ModelRepository
from edge_models.sequences.batcher import MOST_IN_LINE
from edge_models.settings import BatchingSettings, ModelLimits, ModelsSettings
from edge_models.threads import DaemonThreads
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.telemetry import BatchRan
from gateway.core.tensor import Tensor
from tests.edge_models.executors import Held, Instant, Slow
from tests.edge_models.sequences import models
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

OLDEST = "oldest { } max_sequence_idle_microseconds: 5000000"
SUMS = models.CONTROLS + models.STATE
START, END = {"sequence_start": True}, {"sequence_end": True}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, more in {
        "sums": OLDEST,
        "direct": "direct { } max_sequence_idle_microseconds: 5000000",
        "few": "oldest { max_candidate_sequences: 2 } max_sequence_idle_microseconds: 5000000",
        "small": OLDEST,
        "second": "",
        "ever": f"max_sequence_idle_microseconds: {(1 << 64) - 1}",
    }.items():
        models.write(folder, name, models.accumulator(), models.config(SUMS + more))
    no_state = "".join(
        f"{line}\n" for line in models.CONTROLS.splitlines() if "START" in line or "READY" in line
    )
    models.write(folder, "simple", models.simple_sequence(), models.config(no_state))
    output = 'output { name: "OUTPUT" data_type: TYPE_INT32 dims: [1] }'
    models.write(
        folder,
        "dyna",
        models.simple_dyna_sequence(),
        models.config(models.CONTROLS + OLDEST, more=output),
    )
    models.write(
        folder,
        "text",
        models.simple_dyna_sequence(models.STRING),
        models.config(models.TEXT_CONTROLS + models.STATE + OLDEST),
    )
    models.write(folder, "alone", models.accumulator(None), models.config(SUMS, max_batch_size=0))
    kept = 'state { input_name: "kept_in" output_name: "kept_out" data_type: TYPE_FP32 dims: [1] }'
    output = 'output {{ name: "{}" data_type: TYPE_FP32 dims: 1 }}'
    shown = output.format("value") + output.format("kept_out")
    models.write(folder, "table", models.table(), models.config(kept + OLDEST, more=shown))
    word = (
        'control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_STRING } }'
        'state { input_name: "word_in" output_name: "word_out" data_type: TYPE_STRING dims: [1] }'
    )
    models.write(folder, "words", models.words(), models.config(word + OLDEST))
    pieces = 'state { input_name: "all_in" output_name: "all_out" data_type: TYPE_FP32 dims: [-1] }'
    models.write(folder, "grower", models.grower(), models.config(pieces + OLDEST))
    return folder


@pytest.fixture(scope="module")
def settings(repository) -> ModelsSettings:
    limits = {
        "small": ModelLimits(max_sequences=4),
        "grower": ModelLimits(max_sequence_state_mib=1),
    }
    return ModelsSettings(repository=str(repository), limits=limits)


@pytest.fixture(scope="module")
def registry(settings) -> Registry:
    return Registry.load(settings)


def predictor(registry, executor=None, telemetry=None, **batching: BatchingSettings) -> Predictor:
    return Predictor(
        registry,
        ThreadExecutor(1, executor=executor or Instant()),
        batching=batching,
        region="eu-west",
        origin="central",
        clock=LoopClock(),
        telemetry=telemetry or RecordingTelemetry(),
    )


def step(value: int, number: int | str = 7, *, model="sums", tenant="a", outputs=(), **parameters) -> Request:
    array = np.array([[value]], np.int32)
    return Request(
        model,
        (Tensor.from_numpy("INPUT", array),),
        outputs=outputs,
        parameters={"sequence_id": number, **parameters},
        caller=Caller(tenant=tenant),
    )


def value_of(response: Response, name: str = "OUTPUT") -> Any:
    return next(output for output in response.outputs if output.name == name).numpy().item()


async def sums(subject, *steps: Request) -> list[int]:
    return [value_of(await subject(each)) for each in steps]


async def refused(subject, request: Request) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await subject(request)
    return caught.value


MUST_START = (
    "inference request for sequence 7 to model 'sums' must specify the START flag on the first request of the "
    "sequence"
)


@pytest.mark.parametrize("model", ["sums", "direct", "few"])
@virtual_time
async def test_a_sequence_has_its_state(registry, model):
    """Each step has what the one before it left; START begins with zeros, and so does it after END."""
    subject = predictor(registry)

    found = await sums(
        subject,
        step(1, model=model, **START),
        step(2, model=model),
        step(3, model=model, **END),
        step(10, model=model, **START),
        step(20, model=model, **END),
    )
    await subject.close()

    assert found == [1, 3, 6, 10, 30]


async def test_a_model_without_a_batch_has_sequences(registry):
    """No row can share a run, and the state has no batch dimension."""
    subject = predictor(registry)
    tensor = Tensor.from_numpy("INPUT", np.array([[5]], np.int32))
    first = Request("alone", (tensor,), parameters={"sequence_id": 1, **START})
    await subject(first)

    answers = await sums(subject, Request("alone", (tensor,), parameters={"sequence_id": 1}))
    await subject.close()

    assert answers == [10]


@virtual_time
async def test_controls_say_where_a_step_stands(registry):
    """START, END and READY have the values that the configuration names; CORRID is the id."""
    subject = predictor(registry)
    steps = [step(1, **START), step(1), step(1, **END), step(1, 1 << 63, **START, **END)]

    answers = [await subject(each) for each in steps]
    await subject.close()

    assert [value_of(each, "FLAGS") for each in answers] == [101, 100, 110, 111]
    assert [value_of(each, "ID") for each in answers] == [7, 7, 7, 1 << 63]


@virtual_time
async def test_models_as_tritons_examples_have_them(registry):
    """Controls without a state; the id at the end; a state, and a text as id."""
    subject = predictor(registry)

    simple = await sums(
        subject,
        step(11, model="simple", **START),
        step(7, model="simple"),
        step(5, model="simple", **END),
    )
    dyna = await sums(
        subject, step(11, model="dyna", **START), step(7, model="dyna"), step(1, model="dyna", **END)
    )
    text = await sums(
        subject,
        step(20, "1002", model="text", **START),
        step(-11, "1002", model="text"),
        step(-7, "1002", model="text", **END),
    )
    await subject.close()

    assert (simple, dyna, text) == ([12, 7, 5], [12, 7, 1 + 7], [20, 9, 2 + 1002])


@virtual_time
async def test_clients_see_neither_controls_nor_states(registry):
    """They are no inputs and no outputs; a state that is declared as an output is one."""
    subject = predictor(registry)
    spec = registry.get("sums").spec
    sent = step(1, **START)
    with_control = Request(
        "sums",
        (*sent.inputs, Tensor.from_numpy("READY", np.array([[1]], np.int32))),
        parameters=sent.parameters,
    )

    answer = await subject(sent)
    index = Tensor.from_numpy("index", np.array([[2]]))
    shown = await subject(Request("table", (index,), parameters={"sequence_id": 1, **START}))
    control, state = (
        await refused(subject, with_control),
        await refused(subject, step(1, outputs=("sum_out",))),
    )
    await subject.close()

    assert [tensor.name for tensor in spec.inputs] == ["INPUT"]
    assert [tensor.name for tensor in answer.outputs] == ["OUTPUT", "FLAGS", "ID"]
    assert {tensor.name: tensor.numpy().item() for tensor in shown.outputs} == {"value": 12, "kept_out": 12}
    assert control.message == "unexpected inference input 'READY' for model 'sums'"
    assert state.message == "unexpected inference output 'sum_out' for model 'sums'"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (step(1), MUST_START),
        (step(1, **END), MUST_START),
        (
            Request("sums", step(1).inputs),
            "inference request to model 'sums' must specify a non-zero or non-empty correlation ID",
        ),
        (
            Request("sums", (Tensor.from_numpy("INPUT", np.zeros((2, 1), np.int32)),)),
            (
                "inference request to model 'sums' must specify batch-size 1 due to requirements of "
                "sequence batcher"
            ),
        ),
        (step(1, "x", **START), "model 'sums' must have a whole number of UINT64 as sequence_id"),
        (step(1, "x" * 129, **START), "parameter 'sequence_id' must not be longer than 128 bytes"),
    ],
)
async def test_what_is_no_step_is_refused(registry, bad, message):
    """With Triton's words, where it has any."""
    subject = predictor(registry)

    error = await refused(subject, bad)
    await subject.close()

    assert (error.fault, error.message) == (Fault.INVALID, message)


@virtual_time
async def test_a_text_is_an_id(registry):
    """As CORRID it is a text; the state of texts is held as well."""
    subject = predictor(registry)

    def word(text: str, **parameters: Any) -> Request:
        tensor = Tensor.from_numpy("word", np.array([[text.encode()]], object))
        return Request("words", (tensor,), parameters={"sequence_id": "häuser-1", **parameters})

    answers = [await subject(word(text, **more)) for text, more in (("größe", START), ("b", {}), ("c", END))]
    number = await refused(subject, step(1, 5, model="words", **START))
    await subject.close()

    assert [value_of(each, "last").decode() for each in answers] == ["", "größe", "b"]
    assert {value_of(each, "id").decode() for each in answers} == {"häuser-1"}
    assert number.message == "unexpected inference input 'INPUT' for model 'words'"


@virtual_time
async def test_a_number_is_not_its_text(registry):
    """Triton's ids have a type: 7 and "7" are two sequences."""
    subject = predictor(registry)
    await subject(step(1, 7, **START))

    error = await refused(subject, step(1, "7", model="sums"))
    await subject.close()

    assert error.fault is Fault.INVALID


@virtual_time
async def test_nobody_takes_over_another_tenants_sequence(registry):
    """An id is a tenant's own: a stranger's steps neither see the state nor change it, nor end it."""
    subject = predictor(registry)
    await subject(step(100, **START))

    stranger = await refused(subject, step(1, tenant="b"))
    own = await sums(subject, step(5, tenant="b", **START), step(5, tenant="b", **END), step(1))
    await subject.close()

    assert stranger.message == MUST_START
    assert own == [5, 10, 101]


@virtual_time
async def test_a_sequence_that_is_idle_ends(registry):
    """After `max_sequence_idle_microseconds` without a step; a step in time keeps it."""
    subject = predictor(registry)
    await subject(step(1, **START))

    await asyncio.sleep(4.9)
    in_time = await sums(subject, step(1))
    await asyncio.sleep(5.1)
    late = await refused(subject, step(1))
    await subject.close()

    assert in_time == [2]
    assert late.message == MUST_START


@virtual_time
async def test_idle_is_a_second_where_nothing_is_said(registry):
    """Triton's default."""
    subject = predictor(registry)
    await subject(step(1, model="second", **START))
    await asyncio.sleep(0.9)
    assert await sums(subject, step(1, model="second")) == [2]

    await asyncio.sleep(1.1)
    late = await refused(subject, step(1, model="second"))
    await subject.close()

    assert "must specify the START flag" in late.message


@virtual_time
async def test_memory_of_idle_sequences_is_given_back_by_itself(registry):
    """Without another request: what is shown of it is what is held."""
    subject = predictor(registry)
    await asyncio.gather(*(subject(step(1, number, **START)) for number in range(1, 9)))
    held = repr(subject)

    await asyncio.sleep(11)
    left = repr(subject)
    await subject.close()

    assert "<OpenSequences 8 of sums, 32 bytes>" in held
    assert "<OpenSequences 0 of sums, 0 bytes>" in left


@virtual_time
async def test_a_sequence_may_be_idle_for_ever(registry):
    """`max_sequence_idle_microseconds` is a number of 64 bits: no timer takes so long."""
    subject = predictor(registry)
    await subject(step(1, model="ever", **START))

    await asyncio.sleep(1_000_000)
    found = await sums(subject, step(1, model="ever"))
    await subject.close()

    assert found == [2]


@virtual_time
async def test_a_run_longer_than_idle_does_not_end_its_sequence(registry):
    """What has a step under way is not idle, nor is it at once when the step ends."""
    subject = predictor(registry, Slow(12.0))
    await subject(step(1, **START))

    found = await sums(subject, step(1))
    await subject.close()

    assert found == [2]


@virtual_time
async def test_steps_of_a_sequence_run_in_order_and_one_at_a_time(registry):
    """They wait for each other however many come at once."""
    subject = predictor(registry, Slow(0.1), telemetry := RecordingTelemetry())

    answers = await asyncio.gather(
        subject(step(1, **START)), *(subject(step(1)) for _ in range(9)), subject(step(1, **END))
    )
    await subject.close()

    assert [value_of(each) for each in answers] == list(range(1, 12))
    assert [event.size for event in telemetry.of(BatchRan)] == [1] * 11


@virtual_time
async def test_steps_of_several_sequences_are_a_batch(registry):
    """Each row has the state of its own sequence."""
    held, telemetry = Held(), RecordingTelemetry()
    subject = predictor(registry, held, telemetry)

    async def round_of(**parameters: bool) -> list[int]:
        blocker = asyncio.create_task(_answer(subject, step(0, 99, **START)))
        await asyncio.sleep(0)
        tasks = [
            asyncio.create_task(_answer(subject, step(number, number, **parameters)))
            for number in range(1, 6)
        ]
        await asyncio.sleep(0)
        while held.runs:
            held.let_go()
            for _ in range(4):
                await asyncio.sleep(0)
        await blocker
        return [value_of(each) for each in await asyncio.gather(*tasks)]

    first, second = await round_of(**START), await round_of()
    await subject.close()

    assert (first, second) == ([1, 2, 3, 4, 5], [2, 4, 6, 8, 10])
    assert [event.size for event in telemetry.of(BatchRan)] == [1, 5, 1, 5]


async def _answer(subject: Predictor, request: Request) -> Response:
    return await subject(request)


async def test_a_thousand_sequences_at_once(registry):
    """Each has its own sum, with real threads; none is left."""
    subject = predictor(registry, DaemonThreads())

    async def sequence(number: int) -> list[int]:
        found = await sums(subject, step(number, number, **START), step(1, number), step(1, number, **END))
        return [value - number for value in found]

    found = await asyncio.gather(*(sequence(number) for number in range(1, 1001)))
    left = repr(subject)
    await subject.close()

    assert all(each == [0, 1, 2] for each in found)
    assert "<OpenSequences 0 of sums, 0 bytes>" in left


@virtual_time
async def test_a_failed_step_has_not_happened(registry):
    """The model fails on the values: the state is as before, for this sequence and those in its batch."""
    subject = predictor(registry)

    def ask(index: int, **parameters: Any) -> Request:
        tensor = Tensor.from_numpy("index", np.array([[index]]))
        return Request("table", (tensor,), parameters={"sequence_id": 1, **parameters})

    await subject(ask(0, **START))
    failed = await refused(subject, ask(99))
    after = await subject(ask(1))
    await subject.close()

    assert failed.fault is Fault.INVALID
    assert value_of(after, "kept_out") == 10 + 11


@virtual_time
async def test_a_sequence_whose_first_step_failed_has_not_begun(registry):
    """No step of it is answered from a state that nothing has made; it holds no place, and may begin."""
    subject = predictor(registry, Slow(1.0))

    def ask(index: int, **parameters: Any) -> Request:
        tensor = Tensor.from_numpy("index", np.array([[index]]))
        return Request("table", (tensor,), parameters={"sequence_id": 1, **parameters})

    failed, in_line, last = await asyncio.gather(
        refused(subject, ask(99, **START)), refused(subject, ask(1)), refused(subject, ask(1, **END))
    )
    later, held = await refused(subject, ask(1)), repr(subject)
    anew = await subject(ask(1, **START))
    await subject.close()

    assert failed.fault is Fault.INVALID
    assert {"must specify the START flag" in each.message for each in (in_line, last, later)} == {True}
    assert "<OpenSequences 0 of table, 0 bytes>" in held
    assert value_of(anew, "kept_out") == 11


@virtual_time
async def test_a_sequence_whose_first_caller_left_has_not_begun(registry):
    """Also when the one after it is in line, and when it had begun before: START has ended that."""
    subject = predictor(registry, Slow(1.0))
    await subject(step(5, **START))
    first = asyncio.create_task(_answer(subject, step(1, **START)))
    second = asyncio.create_task(refused(subject, step(10)))
    await asyncio.sleep(0.5)

    first.cancel()
    errors = [await second, await refused(subject, step(100))]
    anew = await sums(subject, step(1, **START), step(1))
    await subject.close()

    assert [error.message for error in errors] == [MUST_START] * 2
    assert anew == [1, 2]


@virtual_time
async def test_a_step_whose_caller_leaves_has_not_happened(registry):
    """While it runs, and while it waits for its turn: those after it go on with the state before it."""
    subject = predictor(registry, Slow(1.0))
    await subject(step(1, **START))
    running = asyncio.create_task(_answer(subject, step(10)))
    waiting = asyncio.create_task(_answer(subject, step(100)))
    last = asyncio.create_task(_answer(subject, step(1000)))
    await asyncio.sleep(0.5)

    for each in (running, waiting):
        each.cancel()
    answer = await last
    await asyncio.sleep(3)
    again = await sums(subject, step(1))
    await subject.close()

    assert value_of(answer) == 1001
    assert again == [1002]


@virtual_time
async def test_the_turn_goes_on_when_its_holder_leaves_at_that_moment(registry):
    """A step that is cancelled in the turn of the loop in which it is its turn passes it on."""
    subject = predictor(registry, Slow(1.0))
    first = asyncio.create_task(_answer(subject, step(1, **START)))
    second = asyncio.create_task(_answer(subject, step(10)))
    third = asyncio.create_task(_answer(subject, step(100)))
    first.add_done_callback(lambda _: second.cancel())

    answer = await third
    await subject.close()

    assert value_of(answer) == 101


@virtual_time
async def test_start_again_begins_anew(registry):
    """What came before it is finished with its own state."""
    subject = predictor(registry, Slow(1.0))

    answers = await asyncio.gather(
        subject(step(1, **START)), subject(step(1)), subject(step(50, **START)), subject(step(1))
    )
    await subject.close()

    assert [value_of(each) for each in answers] == [1, 2, 50, 51]


@virtual_time
async def test_end_frees_the_id_at_once(registry):
    """While its last step still runs, a further one without START is refused, and one with it begins anew."""
    subject = predictor(registry, Slow(1.0))
    await subject(step(1, **START))
    last = asyncio.create_task(_answer(subject, step(1, **END)))
    await asyncio.sleep(0)

    late = await refused(subject, step(1))
    anew = await sums(subject, step(7, **START))
    await subject.close()

    assert late.message == MUST_START
    assert (value_of(await last), anew) == (2, [7])


@virtual_time
async def test_candidates_are_bounded_and_others_wait(registry):
    """`max_candidate_sequences`: a third sequence runs once one of two has ended, or is idle."""
    subject = predictor(registry)
    for number in (1, 2):
        await subject(step(1, number, model="few", **START))
    third = asyncio.create_task(_answer(subject, step(3, 3, model="few", **START)))
    fourth = asyncio.create_task(_answer(subject, step(4, 4, model="few", **START)))
    await asyncio.sleep(1)
    waited = not third.done()

    await subject(step(1, 1, model="few", **END))
    await asyncio.sleep(0.1)
    is_third, is_fourth = third.done(), fourth.done()
    await asyncio.sleep(5)
    answers = [value_of(each.result()) for each in (third, fourth)]
    await subject.close()

    assert (waited, is_third, is_fourth) == (True, True, False)
    assert answers == [3, 4]


@virtual_time
async def test_a_tenant_has_at_most_half_of_the_sequences(registry):
    """Another finds a place all the same; an end gives one back."""
    subject = predictor(registry)
    for number in (1, 2):
        await subject(step(1, number, model="small", **START))

    third = await refused(subject, step(1, 3, model="small", **START))
    other = await sums(subject, step(1, 3, model="small", tenant="b", **START))
    again = await sums(subject, step(5, 2, model="small", **START))
    await subject(step(1, 1, model="small", **END))
    then = await sums(subject, step(1, 3, model="small", **START))
    await subject.close()

    assert third.fault is Fault.OVERLOADED
    assert "may have 4" in third.message
    assert (other, again, then) == ([1], [5], [1])


@virtual_time
async def test_sequences_of_all_tenants_are_bounded(registry):
    """However many tenants there are."""
    subject = predictor(registry)
    for tenant in ("a", "b", "c", "d"):
        await subject(step(1, model="small", tenant=tenant, **START))

    fifth = await refused(subject, step(1, model="small", tenant="e", **START))
    await subject.close()

    assert fifth.fault is Fault.OVERLOADED


@virtual_time
async def test_states_have_a_bound(registry):
    """A state that grows too large is refused, and is the one before; another tenant has room."""
    subject = predictor(registry)

    def piece(kib: int, tenant: str = "a", **parameters: bool) -> Request:
        array = np.ones((1, kib << 8), np.float32)
        return Request(
            "grower",
            (Tensor.from_numpy("piece", array),),
            parameters={"sequence_id": 1, **parameters},
            caller=Caller(tenant=tenant),
        )

    await subject(piece(400, **START))
    refusal = await refused(subject, piece(200))
    other = await subject(piece(400, "b", **START))
    after = await subject(piece(1))
    await subject.close()

    assert refusal.fault is Fault.OVERLOADED
    assert "1 MiB" in refusal.message
    assert other.outputs[0].shape == (1, (400 << 8) + 1)
    assert after.outputs[0].shape == (1, (401 << 8) + 1)


@virtual_time
async def test_the_line_of_a_sequence_is_bounded(registry):
    """Others are not in its way."""
    subject = predictor(registry, Slow(1.0))
    tasks = [asyncio.create_task(_answer(subject, step(1, **START)))]
    tasks += [asyncio.create_task(_answer(subject, step(1))) for _ in range(MOST_IN_LINE - 1)]
    await asyncio.sleep(0)

    refusal = await refused(subject, step(1))
    other = await sums(subject, step(5, 8, **START))
    await asyncio.gather(*tasks)
    await subject.close()

    assert (refusal.fault, other) == (Fault.OVERLOADED, [5])


@virtual_time
async def test_all_steps_together_are_bounded(registry):
    """By the model's `max_queue_size`."""
    subject = predictor(registry, Slow(1.0), sums=BatchingSettings(max_queue_size=3))
    tasks = [asyncio.create_task(_answer(subject, step(1, number, **START))) for number in (1, 2, 3)]
    await asyncio.sleep(0)

    refusal = await refused(subject, step(1, 4, **START))
    await asyncio.gather(*tasks)
    await subject.close()

    assert refusal.message == "the queue of model 'sums' is full (3 requests): try again later"


async def test_a_model_that_is_loaded_anew_has_lost_its_sequences(settings):
    """Those under way are finished; the next step is told to begin anew, and one can."""
    registry = Registry.load(settings)
    subject = predictor(registry)
    await subject(step(1, **START))
    models_of = ModelRepository(registry, subject, {})

    await models_of.load("sums", {})
    lost, anew = await refused(subject, step(1)), await sums(subject, step(4, **START))
    await models_of.unload("sums")
    gone = await refused(subject, step(1))
    await subject.close()

    assert (lost.message, anew) == (MUST_START, [4])
    assert gone.fault is Fault.NOT_FOUND


@virtual_time
async def test_close_finishes_the_steps_that_wait(registry):
    """Also those whose turn has not come; later ones are refused."""
    subject = predictor(registry, Slow(0.1))
    tasks = [asyncio.create_task(_answer(subject, step(1, **START)))]
    tasks += [asyncio.create_task(_answer(subject, step(1))) for _ in range(3)]
    await asyncio.sleep(0)

    closing = asyncio.create_task(subject.close())
    await asyncio.sleep(0.01)
    late = await refused(subject, step(1))
    answers = await asyncio.gather(*tasks)
    await closing

    assert [value_of(each) for each in answers] == [1, 2, 3, 4]
    assert late.fault is Fault.UNAVAILABLE


@settings_of_hypothesis(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 3), st.one_of(st.none(), st.integers(0, 12))), max_size=25
    )
)
def test_the_state_is_the_sum_of_what_was_answered(registry, sent):
    """Whoever leaves whenever: what was not answered has not happened, and what was has, in order of arrival.

    The model's sequences may be idle for ever: a run takes half a second here.
    """

    @virtual_time
    async def run() -> None:
        subject = predictor(registry, Slow(0.5))
        numbers = (1, 2, 3)
        for number in numbers:
            await subject(step(0, number, model="ever", **START))
        tasks = []
        loop = asyncio.get_running_loop()
        for place, (number, wait, leaves) in enumerate(sent):
            task = asyncio.create_task(_answer(subject, step(1 << place, number, model="ever")))
            if leaves is not None:
                loop.call_later(leaves / 8, task.cancel)
            tasks.append((number, 1 << place, task))
            await asyncio.sleep(wait / 8)
        await asyncio.gather(*(task for _, _, task in tasks), return_exceptions=True)
        left = {number: await sums(subject, step(0, number, model="ever", **END)) for number in numbers}
        await subject.close()

        expected = dict.fromkeys(numbers, 0)
        for number, value, task in tasks:
            if not task.cancelled():
                expected[number] += value
                assert value_of(task.result()) == expected[number]
        assert left == {number: [total] for number, total in expected.items()}

    run()
