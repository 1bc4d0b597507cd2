"""Area `datatypes`: every datatype there and back, through a model that answers its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from gateway.commands.conformance.call import Call, Reply
from gateway.commands.conformance.check import Area, Untested, require
from gateway.commands.conformance.clauses import BINARY, GRPC_DATA, REST_DATATYPES
from gateway.commands.conformance.peer import Peer
from gateway.commands.conformance.subject import Subject
from gateway.commands.conformance.tensors import DTYPES, Array, Tensor

AREA = Area("datatypes")
_RAW_ONLY: Final = frozenset({"FP16"})


def extremes(datatype: str, count: int) -> Array:
    """Return ``count`` elements that a careless codec gets wrong."""
    dtype = DTYPES[datatype]
    values: list[Any]
    if datatype == "BYTES":
        values = [b"", "ä\u2603".encode(), b'"\\/', b"x" * 300]
        array = np.empty(count, object)
        array[:] = [values[number % len(values)] for number in range(count)]
        return array
    if dtype.kind == "b":
        values = [True, False]
    elif dtype.kind == "f":
        limits = np.finfo(dtype)
        values = [limits.max, limits.min, limits.tiny, 0.1, -0.0, 1 / 3]
    else:
        whole = np.iinfo(dtype)
        values = [whole.max, whole.min, 0, 1]
    return np.resize(np.array(values, dtype), count)


def place_of(subject: Subject, datatype: str) -> int:
    """Return which input has the datatype.

    Raises:
        Untested: when none has.
    """
    for number, spec in enumerate(subject.inputs):
        if spec.datatype == datatype:
            return number
    raise Untested(f"the identity model has no {datatype} input")


def judge(subject: Subject, datatype: str, exchange: Callable[[Call], Reply]) -> None:
    """Send the extremes; the output with the same datatype, and name or number, must be equal."""
    number = place_of(subject, datatype)
    call = subject.call()
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


def equal(sent: Tensor, got: Tensor) -> bool:
    """Tell whether every bit is the same."""
    if got.shape != sent.shape:
        return False
    if sent.values.dtype.kind == "O":
        return bool(np.array_equal(sent.values, got.values))
    return sent.values.tobytes() == got.values.tobytes()


def _json(datatype: str) -> Callable[[Peer], None]:
    return lambda peer: judge(peer.identity, datatype, peer.infer)


def _binary(datatype: str) -> Callable[[Peer], None]:
    def check(peer: Peer) -> None:
        asked = {"binary_data_output": True}
        judge(peer.identity, datatype, lambda call: peer.infer_binary(call.but(parameters=asked))[0])

    return check


def _raw(datatype: str) -> Callable[[Peer], None]:
    return lambda peer: judge(peer.identity, datatype, peer.infer_grpc)


def _typed(datatype: str) -> Callable[[Peer], None]:
    def check(peer: Peer) -> None:
        if any(spec.datatype in _RAW_ONLY for spec in peer.identity.inputs):
            raise Untested("the identity model has an FP16 input, which must travel raw")
        judge(peer.identity, datatype, lambda call: peer.infer_grpc(call, typed=True))

    return check


for _datatype in DTYPES:
    if _datatype not in _RAW_ONLY:
        AREA.check(f"json-{_datatype}", f"{_datatype} as JSON", REST_DATATYPES)(_json(_datatype))
for _datatype in DTYPES:
    AREA.check(f"binary-{_datatype}", f"{_datatype} as binary data", BINARY, extension="binary_tensor_data")(
        _binary(_datatype)
    )
for _datatype in DTYPES:
    AREA.check(f"grpc-{_datatype}", f"{_datatype} as raw gRPC contents", GRPC_DATA)(_raw(_datatype))
for _datatype in DTYPES:
    if _datatype not in _RAW_ONLY:
        AREA.check(f"typed-{_datatype}", f"{_datatype} as typed gRPC contents", GRPC_DATA)(_typed(_datatype))
