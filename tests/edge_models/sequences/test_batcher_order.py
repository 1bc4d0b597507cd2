"""The steps of a sequence run in order, and a step happens as a whole or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from edge_models.registry import Registry
from edge_models.repository import ModelRepository
from edge_models.threads import DaemonThreads
from gateway.core.errors import Fault
from gateway.core.request import Request
from gateway.core.telemetry import BatchRan
from gateway.core.tensor import Tensor
from tests.edge_models.executors import Held, Slow
from tests.edge_models.sequences.steps import (
    END,
    MUST_START,
    START,
    answered,
    predictor,
    refused,
    step,
    sums,
    value_of,
)
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time


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
        blocker = asyncio.create_task(answered(subject, step(0, 99, **START)))
        await asyncio.sleep(0)
        tasks = [
            asyncio.create_task(answered(subject, step(number, number, **parameters)))
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
    first = asyncio.create_task(answered(subject, step(1, **START)))
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
    running = asyncio.create_task(answered(subject, step(10)))
    waiting = asyncio.create_task(answered(subject, step(100)))
    last = asyncio.create_task(answered(subject, step(1000)))
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
    first = asyncio.create_task(answered(subject, step(1, **START)))
    second = asyncio.create_task(answered(subject, step(10)))
    third = asyncio.create_task(answered(subject, step(100)))
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
    last = asyncio.create_task(answered(subject, step(1, **END)))
    await asyncio.sleep(0)

    late = await refused(subject, step(1))
    anew = await sums(subject, step(7, **START))
    await subject.close()

    assert late.message == MUST_START
    assert (value_of(await last), anew) == (2, [7])


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
    tasks = [asyncio.create_task(answered(subject, step(1, **START)))]
    tasks += [asyncio.create_task(answered(subject, step(1))) for _ in range(3)]
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
            task = asyncio.create_task(answered(subject, step(1 << place, number, model="ever")))
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
