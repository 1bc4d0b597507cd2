"""The Open Inference Protocol in protobuf: messages ⇄ the gateway's own values, without any I/O.

Tensors travel raw (``raw_input_contents``) or typed (``contents``), all of a message the same way, as
Triton has it. Raw bytes are taken as they are; typed elements are packed little-endian once. Messages
are untyped here (``Any``): their classes are built at import from ``proto/open_inference.binpb``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from msgspec.structs import replace

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import (
    NO_OUTPUT_PARAMETERS,
    NO_PARAMETERS,
    Parameter,
    Provenance,
    Request,
    Response,
)
from gateway.core.tensor import (
    BYTES,
    DATATYPES,
    ITEM_SIZES,
    MAX_BYTES_ELEMENTS,
    Buffer,
    Tensor,
    check_size,
    element_count,
    too_many_texts,
)
from gateway.wire.oip.classification import wanted_parameters
from gateway.wire.oip.inference import PLAIN_OUTPUTS, Inference, OutputFormat
from gateway.wire.oip.validation import (
    MAX_DECODED,
    check_address,
    check_names,
    check_rank,
    check_shape,
    extract_timeout,
    most_decoded,
    tensor_parameters,
)
from gateway.wire.proto import messages

_FIELDS: Final[dict[str, str]] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""Datatype → the field of InferTensorContents that holds it; FP16 has none."""

_FINAL: Final = "triton_enable_empty_final_response"
"""The one reserved parameter that clients set: the last answer of a stream is to be marked. It is for us
alone, as an upstream would refuse it in a call that is no stream."""

_RAW_INPUT: Final = b"\x3a"

_INTEGERS: Final = {"int_contents": np.dtype("<i4"), "uint_contents": np.dtype("<u4")}
"""The fields that hold narrower datatypes too, and what their elements are on the wire."""


def parse(kind: Any, body: bytes) -> Any:
    """Read a message of the class ``kind``.

    Raises:
        GatewayError: INVALID when the bytes are no such message.
    """
    try:
        return kind.FromString(body)
    except DecodeError:
        raise GatewayError(Fault.INVALID, f"the body is not a valid {kind.DESCRIPTOR.name}") from None


def decode_request(message: Any, raws: Sequence[Buffer] = ()) -> Inference:
    """Read a ModelInferRequest; ``raws``: its raw contents, where they were cut out of it.

    Raises:
        GatewayError: INVALID or UNSUPPORTED, with a message for the client.
    """
    check_address(message.model_name, message.model_version, message.id)
    parameters: Mapping[str, Parameter] = NO_PARAMETERS
    timeout_s, marks_final = math.inf, False
    if message.parameters:
        sent = _decode_parameters(message.parameters)
        marks_final = bool(sent.pop(_FINAL, False))
        timeout_s = extract_timeout(sent)
        parameters = sent or NO_PARAMETERS

    outputs = tuple(output.name for output in message.outputs)
    check_names("output", outputs)
    output_format = _decode_wanted(message.outputs)
    return Inference(
        message.id,
        _decode_tensors("input", message.inputs, raws or message.raw_input_contents, message.model_name),
        outputs,
        output_format,
        parameters,
        timeout_s,
        message.model_name,
        message.model_version,
        marks_final,
    )


def encode_request(request: Request) -> Any:
    """Write a ModelInferRequest with raw contents; the deadline travels outside of the message."""
    message = messages.ModelInferRequest(
        model_name=request.model, model_version=request.version, id=request.id
    )
    _encode_parameters(message.parameters, request.parameters)
    _encode_tensors(message.inputs, message.raw_input_contents, request.inputs)
    for name in request.outputs:
        wanted = message.outputs.add(name=name)
        if parameters := request.output_parameters.get(name):
            _encode_parameters(wanted.parameters, parameters)
    return message


def encode_request_parts(request: Request) -> list[Buffer]:
    """Write a ModelInferRequest as ``encode_request`` does, in parts: tensors are not copied."""
    head = encode_request(replace(request, inputs=()))
    for tensor in request.inputs:
        add_entry(head.inputs, tensor)
    parts: list[Buffer] = [head.SerializeToString()]
    for tensor in request.inputs:
        parts += (_RAW_INPUT + varint(len(tensor.data)), tensor.data)
    return parts


def decode_response(message: Any, provenance: Provenance, raws: Sequence[Buffer] = ()) -> Response:
    """Read a ModelInferResponse; ``raws``: its raw contents, where they were cut out of it.

    Raises:
        GatewayError: INVALID when the other server sent what the protocol does not allow.
    """
    return Response(
        message.model_name,
        message.model_version,
        _decode_tensors("output", message.outputs, raws or message.raw_output_contents),
        provenance,
        _decode_parameters(message.parameters, "output") if message.parameters else NO_PARAMETERS,
    )


def varint(number: int) -> bytes:
    """Write a length as protobuf does."""
    if number < 0x80:
        return bytes((number,))
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def encode_response(response: Response, request_id: str) -> Any:
    """Write a ModelInferResponse with raw contents."""
    message = messages.ModelInferResponse(
        model_name=response.model, model_version=response.version, id=request_id
    )
    if response.parameters:
        _encode_parameters(message.parameters, response.parameters)
    _encode_tensors(message.outputs, message.raw_output_contents, response.outputs)
    return message


def encode_model(spec: ModelSpec) -> Any:
    """Write a ModelMetadataResponse."""
    message = messages.ModelMetadataResponse(name=spec.name, versions=spec.versions, platform=spec.platform)
    for entries, tensors in ((message.inputs, spec.inputs), (message.outputs, spec.outputs)):
        for tensor in tensors:
            entries.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    return message


def decode_model(message: Any) -> ModelSpec:
    """Read a ModelMetadataResponse."""
    return ModelSpec(
        message.name,
        tuple(message.versions),
        message.platform,
        _decode_specs(message.inputs),
        _decode_specs(message.outputs),
    )


def add_entry(entries: Any, tensor: Tensor) -> None:
    """Add an input or output to a message, without its elements."""
    entry = entries.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    if tensor.parameters:
        _encode_parameters(entry.parameters, tensor.parameters)


def _decode_wanted(outputs: Iterable[Any]) -> OutputFormat:
    """Read how the client wants its outputs."""
    classes: dict[str, int] = {}
    parameters: dict[str, Mapping[str, Parameter]] = {}
    for output in outputs:
        if not output.parameters:
            continue
        count, kept = wanted_parameters(output.name, _decode_parameters(output.parameters))
        if count:
            classes[output.name] = count
        if kept:
            parameters[output.name] = kept
    if not classes and not parameters:
        return PLAIN_OUTPUTS
    return OutputFormat(classes=classes, parameters=parameters or NO_OUTPUT_PARAMETERS)


def _decode_specs(entries: Iterable[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(entry.name, entry.datatype, tuple(entry.shape)) for entry in entries)


def _decode_tensors(kind: str, entries: Any, raw: Any, model: str = "") -> tuple[Tensor, ...]:
    check_names(kind, [entry.name for entry in entries])
    if raw and len(raw) != len(entries):
        raise GatewayError(
            Fault.INVALID,
            f"raw_{kind}_contents has {len(raw)} entries for {len(entries)} {kind}s: send all raw or none",
        )

    shapes = _decode_shapes(kind, entries)
    tensors, left = [], MAX_DECODED
    for index, (entry, shape) in enumerate(zip(entries, shapes, strict=True)):
        name = entry.name
        parameters = NO_PARAMETERS
        if entry.parameters:
            parameters = tensor_parameters(kind, name, _decode_parameters(entry.parameters, kind))
        if not raw:
            values = _decode_typed(kind, entry, shape, left)
            tensor = Tensor(name, entry.datatype, shape, values, parameters)
            left -= element_count(shape)
        elif entry.HasField("contents") and entry.contents.ListFields():
            raise GatewayError(
                Fault.INVALID, f"{kind} '{name}' has both contents and raw_{kind}_contents: send one of them"
            )
        else:
            tensor = Tensor(name, entry.datatype, shape, raw[index], parameters)
            check_size(tensor, model)
        tensors.append(tensor)
    return tuple(tensors)


def _decode_shapes(kind: str, entries: Any) -> list[tuple[int, ...]]:
    """Return the shapes of all tensors, which have no more BYTES elements than are worth walking over."""
    shapes, texts = [], 0
    for entry in entries:
        check_rank(kind, entry.name, len(entry.shape))
        shape = tuple(entry.shape)
        check_shape(kind, entry.name, shape)
        shapes.append(shape)
        if entry.datatype == BYTES:
            texts += element_count(shape)
    if texts > MAX_BYTES_ELEMENTS:
        raise too_many_texts()
    return shapes


def _decode_typed(kind: str, entry: Any, shape: tuple[int, ...], left: int) -> bytes:
    """Read typed contents; ``left``: elements that the message may still have."""
    name, datatype = entry.name, entry.datatype
    field = _FIELDS.get(datatype)
    if field is None:
        if datatype in ITEM_SIZES:
            raise GatewayError(
                Fault.INVALID, f"{kind} '{name}' is {datatype}, which travels in raw_{kind}_contents only"
            )
        raise GatewayError(Fault.INVALID, f"{kind} '{name}' has an unknown datatype")
    if any(descriptor.name != field for descriptor, _ in entry.contents.ListFields()):
        raise GatewayError(Fault.INVALID, f"{kind} '{name}' is {datatype}, which travels in {field} only")

    elements = getattr(entry.contents, field)
    if len(elements) > (most := min(left, most_decoded(datatype))):
        raise GatewayError(
            Fault.INVALID,
            f"{kind} '{name}' has more than the {most} elements that {field} may still have: send "
            f"raw_{kind}_contents",
        )
    if len(elements) != element_count(shape):
        raise GatewayError(
            Fault.INVALID,
            f"unexpected size for {kind} '{name}': its shape needs {element_count(shape)} elements, "
            f"got {len(elements)}",
        )
    return _pack(kind, name, datatype, elements)


def _pack(kind: str, name: str, datatype: str, elements: Any) -> bytes:
    if datatype == BYTES:
        return b"".join(part for item in elements for part in (struct.pack("<I", len(item)), item))
    dtype = DATATYPES[datatype]
    array = np.fromiter(elements, _INTEGERS.get(_FIELDS[datatype], dtype), len(elements))
    narrow = array.astype(dtype, copy=False)
    if narrow is not array and not np.array_equal(narrow, array):
        raise GatewayError(Fault.INVALID, f"data of {kind} '{name}' has a value out of range for {datatype}")
    return narrow.tobytes()


def _encode_tensors(entries: Any, raw: Any, tensors: Iterable[Tensor]) -> None:
    for tensor in tensors:
        add_entry(entries, tensor)
        data = tensor.data
        # protobuf takes bytes only; a view of a larger buffer is copied out here.
        raw.append(data if isinstance(data, bytes) else bytes(data))


def _decode_parameters(entries: Mapping[str, Any], kind: str = "input") -> dict[str, Parameter]:
    """Read parameters; of an answer those without a value, or with one of a type to come, are left out."""
    parameters: dict[str, Parameter] = {}
    for name, value in entries.items():
        choice = value.WhichOneof("parameter_choice")
        if choice is None:
            if kind == "output":
                continue
            raise GatewayError(Fault.INVALID, "a parameter has no value")
        parameters[name] = getattr(value, choice)
    return parameters


def _encode_parameters(entries: Any, parameters: Mapping[str, Parameter]) -> None:
    for name, value in parameters.items():
        match value:
            case bool():
                entries[name].bool_param = value
            case str():
                entries[name].string_param = value
            case float():
                entries[name].double_param = value
            case int() if -(1 << 63) <= value < 1 << 63:
                entries[name].int64_param = value
            case int() if 0 <= value < 1 << 64:
                entries[name].uint64_param = value
            case _:
                raise GatewayError(Fault.INVALID, "a parameter has more than 64 bits")
