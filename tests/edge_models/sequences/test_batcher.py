"""Sequences through the whole Predictor, with ONNX Runtime: states, controls, what is a step, and whose.

Order is in test_batcher_order.py, limits are in test_batcher_bounds.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from gateway.core.errors import Fault
from gateway.core.request import Request
from gateway.core.telemetry import BatchRan
from gateway.core.tensor import Tensor
from tests.edge_models.executors import Slow
from tests.edge_models.sequences.steps import (
    END,
    MUST_START,
    START,
    predictor,
    refused,
    step,
    sums,
    value_of,
)
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time


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


@virtual_time
async def test_steps_of_two_tenants_never_share_a_run(registry):
    """Those of one do, whatever sequences they are of."""
    telemetry = RecordingTelemetry()
    subject = predictor(registry, Slow(0.01), telemetry)

    steps = [step(1, number, tenant=tenant, **START) for number, tenant in enumerate("aababb", start=1)]
    await asyncio.gather(*(subject(each) for each in steps))
    await subject.close()

    assert [event.requests for event in telemetry.of(BatchRan)] == [1, 2, 3]


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
