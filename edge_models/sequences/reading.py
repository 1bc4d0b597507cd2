"""Reads `sequence_batching` of a model's configuration, and compares it with the graph."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edge_models.errors import ModelError
from edge_models.sequences.settings import (
    IDLE_US,
    ControlInput,
    CorrelationInput,
    SequenceSettings,
    SequenceState,
)
from gateway.core.catalog import TensorSpec
from gateway.core.tensor import BYTES, DATATYPES, Array

ReadFile = Callable[[str, int], bytes]
"""Returns a file of the folder `initial_state`, of at most so many bytes.

Raises:
    ModelError: it cannot be read.
"""

MOST_STATE_BYTES: Final = 1 << 30
"""Of one initial state."""

_FALSE_TRUE: Final = {"int32_false_true": "INT32", "fp32_false_true": "FP32", "bool_false_true": "BOOL"}
_CORRELATION: Final = frozenset({"UINT64", "INT64", "UINT32", "INT32", BYTES})
_LENGTH: Final = struct.Struct("<I")


def read_sequence_settings(
    message: Any,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    max_batch_size: int = 0,
    read_file: ReadFile | None = None,
) -> SequenceSettings:
    """Return what an ``inference.ModelSequenceBatching`` orders for a graph of ``inputs`` and ``outputs``.

    Raises:
        ModelError: it cannot be obeyed; the message is a sentence that begins with the field.
    """
    if message.iterative_sequence:
        raise ModelError(
            "sequence_batching.iterative_sequence is not supported: a model of ONNX has one answer for each "
            "request"
        )
    graph = {spec.name: spec for spec in inputs}
    controls = _controls(message, graph)
    strategy = _strategy(message, max_batch_size)
    states = _states(message.state, graph, {spec.name: spec for spec in outputs}, read_file)
    settings = SequenceSettings(
        idle_s=(message.max_sequence_idle_microseconds or IDLE_US) / 1e6,
        start=controls.get("START"),
        end=controls.get("END"),
        ready=controls.get("READY"),
        correlation=_correlation(message, graph),
        states=states,
        **strategy,
    )
    named = [
        *(each.name for each in message.control_input),
        *(each.input_name for each in states),
    ]
    for name in named:
        if named.count(name) > 1:
            raise ModelError(f"sequence_batching names the input '{name}' more than once")
    return settings


def _strategy(message: Any, max_batch_size: int) -> dict[str, Any]:
    rows = max(1, max_batch_size)
    if not message.HasField("oldest"):
        direct = message.direct
        if not direct.max_queue_delay_microseconds:
            return {}
        if not 0 <= direct.minimum_slot_utilization <= 1:
            raise ModelError("sequence_batching.direct.minimum_slot_utilization must be from 0 to 1")
        # A batch of so many steps does not wait for the delay.
        least = max(1, min(math.ceil(direct.minimum_slot_utilization * rows), rows))
        return {
            "max_queue_delay_microseconds": direct.max_queue_delay_microseconds,
            "preferred_batch_size": tuple(range(least, rows + 1)),
        }
    oldest = message.oldest
    for size in oldest.preferred_batch_size:
        if not 0 < size <= rows:
            raise ModelError(
                f"sequence_batching.oldest.preferred_batch_size {size} must be from 1 to max_batch_size, "
                f"{rows}"
            )
    if oldest.max_candidate_sequences < 0:
        raise ModelError("sequence_batching.oldest.max_candidate_sequences must be at least 0")
    return {
        "max_candidate_sequences": oldest.max_candidate_sequences,
        "preferred_batch_size": tuple(oldest.preferred_batch_size),
        "max_queue_delay_microseconds": oldest.max_queue_delay_microseconds,
    }


def _controls(message: Any, graph: Mapping[str, TensorSpec]) -> dict[str, ControlInput]:
    """Return START, END and READY as far as there are."""
    found: dict[str, ControlInput] = {}
    for name, control in _each_control(message):
        kind = _kind(control)
        if kind in found:
            raise ModelError(f"sequence_batching.control_input: there is more than one control {kind}")
        spec = _row_of_one(name, graph)
        if kind != "CORRID":
            found[kind] = _false_true(spec, kind, control)
    return found


def _correlation(message: Any, graph: Mapping[str, TensorSpec]) -> CorrelationInput | None:
    found = [(name, control) for name, control in _each_control(message) if _kind(control) == "CORRID"]
    if not found:
        return None
    if len(found) > 1:
        raise ModelError("sequence_batching.control_input: there is more than one control CORRID")
    name, control = found[0]
    spec = _row_of_one(name, graph)
    datatype = _datatype(control)
    if datatype not in _CORRELATION:
        raise ModelError(
            f"sequence_batching.control_input '{name}': data_type of CORRID must be TYPE_UINT64, TYPE_INT64, "
            "TYPE_UINT32, TYPE_INT32 or TYPE_STRING"
        )
    _require_datatype(f"control_input '{name}'", datatype, spec)
    return CorrelationInput(name, datatype, (1,) * len(spec.shape))


def _each_control(message: Any) -> list[tuple[str, Any]]:
    found = []
    for number, each in enumerate(message.control_input):
        if not each.name:
            raise ModelError(f"sequence_batching.control_input {number} must have a name")
        if len(each.control) != 1:
            raise ModelError(f"sequence_batching.control_input '{each.name}' must have one control")
        found.append((each.name, each.control[0]))
    return found


def _kind(control: Any) -> str:
    known = control.Kind.DESCRIPTOR.values_by_number.get(control.kind)
    if known is None:
        raise ModelError(f"sequence_batching.control_input: there is no control of the kind {control.kind}")
    return str(known.name).removeprefix("CONTROL_SEQUENCE_")


def _false_true(spec: TensorSpec, kind: str, control: Any) -> ControlInput:
    values = {field: tuple(getattr(control, field)) for field in _FALSE_TRUE if getattr(control, field)}
    if len(values) != 1 or len(next(iter(values.values()))) != 2:
        raise ModelError(
            f"sequence_batching.control_input '{spec.name}': {kind} must have two values of one of "
            f"{', '.join(_FALSE_TRUE)}"
        )
    field, (false, true) = next(iter(values.items()))
    _require_datatype(f"control_input '{spec.name}'", _FALSE_TRUE[field], spec)
    return ControlInput(spec.name, *(_row(spec, value) for value in (false, true)))


def _row(spec: TensorSpec, value: float) -> Array:
    array = np.full((1,) * len(spec.shape), value, DATATYPES[spec.datatype])
    array.flags.writeable = False
    return array


def _row_of_one(name: str, graph: Mapping[str, TensorSpec]) -> TensorSpec:
    """Return the control input ``name`` of the graph, which must take one value for each row."""
    spec = graph.get(name)
    if spec is None:
        raise ModelError(f"sequence_batching.control_input '{name}' is not an input of the model")
    if not spec.shape or any(size not in {-1, 1} for size in spec.shape):
        raise ModelError(
            f"sequence_batching.control_input '{name}' must take one value for each row, and takes "
            f"{list(spec.shape)}"
        )
    return spec


def _states(
    states: Sequence[Any],
    inputs: Mapping[str, TensorSpec],
    outputs: Mapping[str, TensorSpec],
    read_file: ReadFile | None,
) -> tuple[SequenceState, ...]:
    found = []
    seen: set[str] = set()
    for each in states:
        field = f"state '{each.input_name}'"
        if each.output_name in seen:
            raise ModelError(f"sequence_batching names the output '{each.output_name}' more than once")
        seen.add(each.output_name)
        if each.input_name not in inputs or each.output_name not in outputs:
            missing = (
                f"input '{each.input_name}'"
                if each.input_name not in inputs
                else f"output '{each.output_name}'"
            )
            raise ModelError(f"sequence_batching.{field}: the model has no {missing}")
        if each.use_growable_memory:
            raise ModelError(f"sequence_batching.{field}: use_growable_memory works with KIND_GPU only")
        spec = inputs[each.input_name]
        for tensor in (spec, outputs[each.output_name]):
            _require_datatype(field, _datatype(each), tensor)
            _require_dims(field, tuple(each.dims), tensor)
        found.append(SequenceState(each.input_name, each.output_name, _initial(field, each, spec, read_file)))
    return tuple(found)


def _initial(field: str, state: Any, spec: TensorSpec, read_file: ReadFile | None) -> Array:
    """Return what the state is at the start; a dimension of any size is 1 then, as Triton has it."""
    dims = tuple(1 if size == -1 else size for size in state.dims)
    is_zero, name = True, ""
    if len(state.initial_state) > 1:
        raise ModelError(f"sequence_batching.{field} must have one initial_state, or none")
    for initial in state.initial_state:
        if not initial.name:
            raise ModelError(f"sequence_batching.{field}: initial_state must have a name")
        if initial.data_type != state.data_type:
            raise ModelError(
                f"sequence_batching.{field}: data_type of initial_state is not that of the state"
            )
        dims = tuple(initial.dims)
        if len(dims) != len(state.dims) or any(
            size < 0 or wanted not in {-1, size} for size, wanted in zip(dims, state.dims, strict=True)
        ):
            raise ModelError(
                f"sequence_batching.{field}: initial_state has dims {list(dims)}, and the state "
                f"{list(state.dims)}"
            )
        source = initial.WhichOneof("state_data")
        if source is None:
            raise ModelError(f"sequence_batching.{field}: initial_state must have zero_data or data_file")
        is_zero, name = source == "zero_data", initial.data_file
    shape = (1,) * (len(spec.shape) - len(dims)) + dims
    if math.prod(shape) * 8 > MOST_STATE_BYTES:
        raise ModelError(f"sequence_batching.{field} has more than {MOST_STATE_BYTES >> 20} MiB")
    array = _zeros(spec, shape) if is_zero else _from_file(field, name, spec, shape, read_file)
    array.flags.writeable = False
    return array


def _zeros(spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    if spec.datatype == BYTES:
        return np.full(shape, b"", object)
    return np.zeros(shape, DATATYPES[spec.datatype])


def _from_file(
    field: str, name: str, spec: TensorSpec, shape: tuple[int, ...], read_file: ReadFile | None
) -> Array:
    if not name or "/" in name or "\0" in name or name in {".", ".."} or read_file is None:
        raise ModelError(
            f"sequence_batching.{field}: data_file must name a file of the folder `initial_state` beside "
            "config.pbtxt"
        )
    content = read_file(name, MOST_STATE_BYTES)
    if spec.datatype == BYTES:
        return _texts(field, content, shape)
    dtype = DATATYPES[spec.datatype]
    wanted = math.prod(shape) * dtype.itemsize
    if len(content) < wanted:
        raise ModelError(
            f"sequence_batching.{field}: initial_state/{name} has {len(content)} bytes, and {wanted} are "
            "wanted"
        )
    return np.frombuffer(content[:wanted], dtype).reshape(shape).copy()


def _texts(field: str, content: bytes, shape: tuple[int, ...]) -> Array:
    """Read texts, each after its length in four bytes."""
    texts, at = [], 0
    for _ in range(math.prod(shape)):
        if at + _LENGTH.size > len(content):
            raise ModelError(f"sequence_batching.{field}: its data_file ends before its texts do")
        stop = at + _LENGTH.size + _LENGTH.unpack_from(content, at)[0]
        if stop > len(content):
            raise ModelError(f"sequence_batching.{field}: its data_file ends within a text")
        texts.append(content[at + _LENGTH.size : stop])
        at = stop
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(shape)


def _datatype(holder: Any) -> str:
    """Return the protocol's name of a ``data_type``; empty where there is none."""
    number = holder.data_type
    known = holder.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number.get(number)
    name = str(number) if known is None else str(known.name).removeprefix("TYPE_")
    return "" if name == "INVALID" else BYTES if name == "STRING" else name


def _require_datatype(field: str, datatype: str, spec: TensorSpec) -> None:
    if datatype != spec.datatype:
        raise ModelError(
            f"sequence_batching.{field} is {datatype or 'of no data_type'}, and '{spec.name}' of the model "
            f"is {spec.datatype}"
        )


def _require_dims(field: str, dims: tuple[int, ...], spec: TensorSpec) -> None:
    """Compare dimensions without a batch with those of the graph, which may have one more."""
    more = len(spec.shape) - len(dims)
    fits = more in {0, 1} and all(
        wanted in {-1, size} or size == -1 for size, wanted in zip(dims, spec.shape[more:], strict=True)
    )
    if not fits or (more and spec.shape[0] not in {-1, 1}):
        raise ModelError(
            f"sequence_batching.{field} has dims {list(dims)}, and '{spec.name}' of the model "
            f"{list(spec.shape)}"
        )
