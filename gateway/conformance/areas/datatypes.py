"""Area `datatypes`: every datatype there and back, through models that answer their inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from gateway.conformance.call import Call, Reply
from gateway.conformance.check import Area
from gateway.conformance.clauses import BINARY, GRPC_DATA, REST_DATATYPES
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.subject import Subject
from gateway.conformance.tensors import CONTENTS, DTYPES, RAW_ONLY, Array, SuiteTensor
from gateway.conformance.verdicts import require

AREA = Area("datatypes")
_BINARY: Final = {"binary_data_output": True}


def extremes(datatype: str, count: int) -> Array:
    """Return ``count`` elements that a careless codec gets wrong."""
    dtype = DTYPES[datatype]
    values: list[Any]
    if datatype == "BYTES":
        values = [b"", "ä\u2603".encode(), b'"\\/', b"x" * 300]
        array = np.empty(count, object)
        array[:] = [values[number % len(values)] for number in range(count)]
        return array
    if datatype == "BF16":
        values = [0x7F7F, 0xFF7F, 0x0080, 0x3DCD, 0x8000, 0x3EAB]  # greatest, least, tiny, 0.1, -0.0, 1/3
    elif dtype.kind == "b":
        values = [True, False]
    elif dtype.kind == "f":
        limits = np.finfo(dtype)
        values = [limits.max, limits.min, limits.tiny, 0.1, -0.0, 1 / 3]
    else:
        whole = np.iinfo(dtype)
        values = [whole.max, whole.min, 0, 1]
    return np.resize(np.array(values, dtype), count)


def judge(subject: Subject, datatype: str, exchange: Callable[[Call], Reply]) -> None:
    """Send the extremes; an output of the same datatype must be equal, bit by bit."""
    call = subject.call()
    number = [tensor.datatype for tensor in call.tensors].index(datatype)
    tensor = call.tensors[number]
    sent = replace(tensor, values=extremes(datatype, tensor.values.size))
    tensors = (*call.tensors[:number], sent, *call.tensors[number + 1 :])
    outputs = exchange(call.but(tensors=tensors)).outputs
    same = [output for output in outputs if output.datatype == datatype]
    require(same, f"there is no output of the datatype {datatype}")
    require(
        any(equal(sent, output) for output in same),
        f"what came back is not what was sent: {same[0].values[:6]}",
    )


def equal(sent: SuiteTensor, got: SuiteTensor) -> bool:
    """Return whether every bit is the same."""
    if got.shape != sent.shape:
        return False
    if sent.values.dtype.kind == "O":
        return bool(np.array_equal(sent.values, got.values))
    return sent.values.tobytes() == got.values.tobytes()


def _json(tested: ServerUnderTest, datatype: str) -> None:
    judge(tested.identity(datatype, without=RAW_ONLY), datatype, tested.infer)


def _binary(tested: ServerUnderTest, datatype: str) -> None:
    judge(
        tested.identity(datatype), datatype, lambda call: tested.infer_binary(call.but(parameters=_BINARY))[0]
    )


def _raw(tested: ServerUnderTest, datatype: str) -> None:
    judge(tested.identity(datatype), datatype, tested.infer_grpc)


def _typed(tested: ServerUnderTest, datatype: str) -> None:
    subject = tested.identity(datatype, without=RAW_ONLY)
    judge(subject, datatype, lambda call: tested.infer_grpc(call, typed=True))


def _of(way: Callable[[ServerUnderTest, str], None], datatype: str) -> Callable[[ServerUnderTest], None]:
    return lambda tested: way(tested, datatype)


for _name in CONTENTS:
    AREA.check(f"json-{_name}", f"{_name} as JSON", REST_DATATYPES)(_of(_json, _name))
for _name in DTYPES:
    AREA.check(f"binary-{_name}", f"{_name} as binary data", BINARY, extension="binary_tensor_data")(
        _of(_binary, _name)
    )
for _name in DTYPES:
    AREA.check(f"grpc-{_name}", f"{_name} as raw gRPC contents", GRPC_DATA)(_of(_raw, _name))
for _name in CONTENTS:
    AREA.check(f"typed-{_name}", f"{_name} as typed gRPC contents", GRPC_DATA)(_of(_typed, _name))
