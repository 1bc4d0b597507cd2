"""Area `parameters`: classification, sequences, scheduling and the reserved parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gateway.conformance import messages
from gateway.conformance.call import Reply, Wanted, read_message
from gateway.conformance.check import Area
from gateway.conformance.clauses import CLASSIFICATION, PARAMETERS, SCHEDULE, SEQUENCE
from gateway.conformance.expect import refused
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.subject import DeclaredTensor
from gateway.conformance.tensors import SuiteTensor
from gateway.conformance.verdicts import NotApplicable, require

AREA = Area("parameters")
TOP = 2


def _classes_of(tested: ServerUnderTest) -> DeclaredTensor:
    for spec in tested.model.outputs:
        if spec.datatype != "BYTES" and spec.shape[-1:] > (TOP,) and len(spec.shape) == 2:
            return spec
    raise NotApplicable(f"the model has no output [batch, classes] with more than {TOP} classes")


def _classified(tested: ServerUnderTest, spec: DeclaredTensor, count: int) -> SuiteTensor:
    call = tested.model.call().but(outputs=(Wanted(spec.name, {"classification": count}),))
    return _only(tested.infer(call), spec)


def _only(reply: Reply, spec: DeclaredTensor) -> SuiteTensor:
    require(spec.name in reply.by_name, f"'{spec.name}' is missing")
    return reply.by_name[spec.name]


def _judge_classes(tested: ServerUnderTest, spec: DeclaredTensor, tensor: SuiteTensor, count: int) -> None:
    plain = _only(tested.infer(tested.model.call()), spec)
    # Without a batch all elements are one list.
    rows = plain.shape[0] if tested.model.is_batched else 1
    values = plain.values.reshape((rows, -1))
    count = min(count, values.shape[1])
    shape = (rows, count) if tested.model.is_batched else (count,)
    require(tensor.datatype == "BYTES", f"the datatype is {tensor.datatype}, not BYTES")
    require(tensor.shape == shape, f"the shape is {list(tensor.shape)}, not {list(shape)}")
    for row, entries in enumerate(tensor.values.reshape((rows, count))):
        order = np.argsort(-values[row].astype(np.float64), kind="stable")[:count]
        for place, entry in zip(order, entries, strict=True):
            value, _, rest = entry.decode(errors="replace").partition(":")
            require(rest.split(":")[0] == str(place), f"{entry[:60]!r} should name class {place}")
            require(_is_near(value, float(values[row, place])), f"{entry[:60]!r} has another value")


def _is_near(text: str, value: float) -> bool:
    try:
        return bool(np.isclose(float(text), value, rtol=1e-2, atol=1e-4))
    except ValueError:
        return False


@AREA.check("classification", "the best classes as value:index", CLASSIFICATION, extension="classification")
def classification(tested: ServerUnderTest) -> None:
    """BYTES [batch, N], the highest first."""
    spec = _classes_of(tested)
    _judge_classes(tested, spec, _classified(tested, spec, TOP), TOP)


@AREA.check(
    "classification-all", "more classes than there are give all", CLASSIFICATION, extension="classification"
)
def classification_all(tested: ServerUnderTest) -> None:
    """The count is an upper bound."""
    spec = _classes_of(tested)
    more = _only(tested.infer(tested.model.call()), spec).values.size + 5
    _judge_classes(tested, spec, _classified(tested, spec, more), more)


@AREA.check("classification-grpc", "the same over gRPC", CLASSIFICATION, extension="classification")
def classification_grpc(tested: ServerUnderTest) -> None:
    """With the parameter as an int64."""
    spec = _classes_of(tested)
    call = tested.model.call().but(outputs=(Wanted(spec.name, {"classification": TOP}),))
    answer = tested.call_ok("ModelInfer", call.as_message(), messages.ModelInferResponse)
    _judge_classes(tested, spec, _only(read_message(answer), spec), TOP)


def _unchanged(tested: ServerUnderTest, parameters: dict[str, Any]) -> None:
    tested.infer(tested.model.call()).same_outputs(
        tested.infer(tested.model.call().but(parameters=parameters))
    )


def _refused(tested: ServerUnderTest, parameters: dict[str, Any]) -> None:
    tested.infer(tested.model.call())
    call = tested.model.call().but(parameters=parameters)
    refused(tested.post(f"{call.path}/infer", call.as_json()))


@AREA.check("sequence", "sequence_id, start and end are taken", SEQUENCE, extension="sequence")
def sequence(tested: ServerUnderTest) -> None:
    """A model without state answers as it does without the parameters."""
    _unchanged(tested, {"sequence_id": 42, "sequence_start": True, "sequence_end": True})


@AREA.check("sequence-text", "sequence_id may be a text", SEQUENCE, extension="sequence")
def sequence_text(tested: ServerUnderTest) -> None:
    """A UUID, for example."""
    _unchanged(tested, {"sequence_id": "a3f0-42", "sequence_start": True, "sequence_end": True})


@AREA.check("sequence-wrong", "sequence_start that is no boolean is refused", SEQUENCE, extension="sequence")
def sequence_wrong(tested: ServerUnderTest) -> None:
    """The type of the parameter is fixed."""
    _refused(tested, {"sequence_id": 42, "sequence_start": "yes"})


@AREA.check("priority", "priority and timeout are taken", SCHEDULE, extension="schedule_policy")
def priority(tested: ServerUnderTest) -> None:
    """Priority 0 is the default one; ten seconds in microseconds are enough."""
    _unchanged(tested, {"priority": 0, "timeout": 10_000_000})


@AREA.check(
    "priority-wrong", "a priority that is no number is refused", SCHEDULE, extension="schedule_policy"
)
def priority_wrong(tested: ServerUnderTest) -> None:
    """The type of the parameter is fixed."""
    _refused(tested, {"priority": "first"})


@AREA.check("timeout-wrong", "a timeout that is no number is refused", SCHEDULE, extension="schedule_policy")
def timeout_wrong(tested: ServerUnderTest) -> None:
    """The type of the parameter is fixed."""
    _refused(tested, {"timeout": "soon"})


@AREA.check("reserved", "names that begin with triton_ are reserved", PARAMETERS, extension="parameters")
def reserved(tested: ServerUnderTest) -> None:
    """The server refuses one instead of ignoring it."""
    _refused(tested, {"triton_of_the_suite": 1})


@AREA.check("input-parameters", "parameters of an input change nothing", PARAMETERS, extension="parameters")
def input_parameters(tested: ServerUnderTest) -> None:
    """Servers hand them on or drop them."""
    call = tested.model.call()
    tensors = tuple(replace(tensor, parameters={"suite": "a"}) for tensor in call.tensors)
    tested.infer(call).same_outputs(tested.infer(call.but(tensors=tensors)))


@AREA.check(
    "output-parameters", "parameters of a wanted output change nothing", PARAMETERS, extension="parameters"
)
def output_parameters(tested: ServerUnderTest) -> None:
    """Servers hand them on or drop them."""
    call = tested.model.call()
    wanted = tuple(Wanted(spec.name, {"suite": "a"}) for spec in tested.model.outputs)
    tested.infer(call).same_outputs(tested.infer(call.but(outputs=wanted)))


@AREA.check("tensor-parameters-grpc", "the same of both over gRPC", PARAMETERS, extension="parameters")
def tensor_parameters_grpc(tested: ServerUnderTest) -> None:
    """A number, a text and a boolean."""
    said = {"suite": "a", "number": 7, "flag": True}
    call = tested.model.call()
    tensors = tuple(replace(tensor, parameters=said) for tensor in call.tensors)
    wanted = tuple(Wanted(spec.name, said) for spec in tested.model.outputs)
    message = call.but(tensors=tensors, outputs=wanted).as_message()
    answer = tested.call_ok("ModelInfer", message, messages.ModelInferResponse)
    tested.infer(call).same_outputs(read_message(answer))
