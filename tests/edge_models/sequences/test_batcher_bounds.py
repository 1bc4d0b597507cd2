"""How long sequences are held, how many, how much of them, and how many steps wait."""

from __future__ import annotations

import asyncio

import numpy as np

from edge_models.sequences.batcher import MOST_IN_LINE
from edge_models.settings import BatchingSettings
from gateway.core.errors import Fault
from gateway.core.request import Caller, Request
from gateway.core.tensor import Tensor
from tests.edge_models.executors import Slow
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
from tests.fakes.virtual_time import virtual_time


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
async def test_candidates_are_bounded_and_others_wait(registry):
    """`max_candidate_sequences`: a third sequence runs once one of two has ended, or is idle."""
    subject = predictor(registry)
    for number in (1, 2):
        await subject(step(1, number, model="few", **START))
    third = asyncio.create_task(answered(subject, step(3, 3, model="few", **START)))
    fourth = asyncio.create_task(answered(subject, step(4, 4, model="few", **START)))
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
    tasks = [asyncio.create_task(answered(subject, step(1, **START)))]
    tasks += [asyncio.create_task(answered(subject, step(1))) for _ in range(MOST_IN_LINE - 1)]
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
    tasks = [asyncio.create_task(answered(subject, step(1, number, **START))) for number in (1, 2, 3)]
    await asyncio.sleep(0)

    refusal = await refused(subject, step(1, 4, **START))
    await asyncio.gather(*tasks)
    await subject.close()

    assert refusal.message == "the queue of model 'sums' is full (3 requests): try again later"
