"""Inference requests that are wrong in one way each; both protocols must refuse them alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.conformance.call import Call, Wanted
from gateway.conformance.subject import Subject
from gateway.conformance.verdicts import NotApplicable

NO_SUCH_MODEL: Final = "no-such-model-of-the-conformance-suite"
NO_SUCH_VERSION: Final = "987654321"
NOT_FOUND: Final = ("NOT_FOUND",)
INVALID: Final = ("INVALID_ARGUMENT",)


@dataclass(frozen=True, slots=True)
class FaultyCall:
    """A wrong request: how it is made, and the gRPC codes that name its fault."""

    id: str
    title: str
    make: Callable[[Subject], Call]
    codes: tuple[str, ...] = INVALID


def _scaled(subject: Subject) -> Call:
    call = subject.call()
    spec, tensor = subject.inputs[0], call.tensors[0]
    fixed = [axis for axis, size in enumerate(spec.shape) if size > 0]
    if not fixed:
        raise NotApplicable("the model's first input has no fixed dimension")
    shape = list(tensor.shape)
    shape[fixed[-1]] += 1
    count = int(np.prod(shape))
    return call.with_first(shape=tuple(shape), values=np.resize(tensor.values, count))


def _other_datatype(subject: Subject) -> Call:
    tensor = subject.call().tensors[0]
    datatype, dtype = ("INT32", np.int32) if tensor.datatype != "INT32" else ("FP32", np.float32)
    return subject.call().with_first(datatype=datatype, values=np.ones(tensor.values.size, dtype))


def _negative(subject: Subject) -> Call:
    tensor = subject.call().tensors[0]
    shape = tuple(-size for size in tensor.shape[:1]) + tensor.shape[1:]
    return subject.call().with_first(shape=shape)


def _two_negative(subject: Subject) -> Call:
    tensor = subject.call().tensors[0]
    return subject.call().with_first(shape=(-tensor.values.size, -1))


def _overflowing(subject: Subject) -> Call:
    # 2^32 · 2^32 elements are 0 in 64 bits; so are the bytes of 2^62 elements of four.
    rank = max(2, len(subject.inputs[0].shape))
    return subject.call().with_first(shape=(1 << 32,) * 2 + (1,) * (rank - 2))


def _resized(change: int) -> Callable[[Subject], Call]:
    def make(subject: Subject) -> Call:
        tensor = subject.call().tensors[0]
        values = tensor.values[:-1] if change < 0 else np.append(tensor.values, tensor.values[:1])
        return subject.call().with_first(values=values)

    return make


def _extra(subject: Subject) -> Call:
    call = subject.call()
    return call.but(tensors=(*call.tensors, replace(call.tensors[0], name="no_such_input")))


FAULTY: Final = (
    FaultyCall("unknown-model", "an unknown model", lambda s: s.call().but(model=NO_SUCH_MODEL), NOT_FOUND),
    FaultyCall(
        "unknown-version", "an unknown version", lambda s: s.call().but(version=NO_SUCH_VERSION), NOT_FOUND
    ),
    FaultyCall("no-inputs", "no inputs at all", lambda s: s.call().but(tensors=())),
    FaultyCall("missing-input", "a missing input", lambda s: s.call().with_first(name="no_such_input")),
    FaultyCall("extra-input", "an input that the model does not have", _extra),
    FaultyCall(
        "duplicate-input",
        "an input given twice",
        lambda s: s.call().but(tensors=(*s.call().tensors, s.call().tensors[0])),
    ),
    FaultyCall("wrong-datatype", "another datatype than the model's", _other_datatype),
    FaultyCall(
        "unknown-datatype", "a datatype that does not exist", lambda s: s.call().with_first(datatype="FP31")
    ),
    FaultyCall("wrong-shape", "a fixed dimension of another size", _scaled),
    FaultyCall(
        "wrong-rank",
        "a dimension too many",
        lambda s: s.call().with_first(shape=(*s.call().tensors[0].shape, 1)),
    ),
    FaultyCall("too-few-elements", "fewer elements than the shape has", _resized(-1)),
    FaultyCall("too-many-elements", "more elements than the shape has", _resized(+1)),
    FaultyCall("negative-dimension", "a negative dimension", _negative),
    FaultyCall("negative-dimensions", "two negative dimensions whose product fits", _two_negative),
    FaultyCall("overflowing-shape", "dimensions whose product overflows 64 bits", _overflowing),
    FaultyCall(
        "unknown-output",
        "an output that the model does not have",
        lambda s: s.call().but(outputs=(Wanted("no_such_output"),)),
        ("INVALID_ARGUMENT", "NOT_FOUND"),
    ),
)
