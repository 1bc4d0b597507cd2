"""The generate extension's JSON ⇄ tensors, by the model's metadata.

A field named like an input is that input: a single value, or a list of them. All other fields are
parameters. In the answer every output is a field: a single value, or a flat list.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.request import NO_PARAMETERS, Parameter, Response
from gateway.core.tensor import Buffer, Tensor, element_count
from gateway.wire.oip.inference import PLAIN_OUTPUTS, Inference
from gateway.wire.oip.json_bounds import MAX_JSON_BYTES, check_json
from gateway.wire.oip.json_nan import JsonNan
from gateway.wire.oip.messages import Parameters, parse
from gateway.wire.oip.validation import extract_timeout
from gateway.wire.oip.values import decode_values, encode_values

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PARAMETERS: Final = msgspec.json.Decoder(Parameters)
_PARAMETER: Final = msgspec.json.Decoder(Parameter | None)
_VALUES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODE: Final = msgspec.json.Encoder().encode
_ID: Final = msgspec.json.Decoder(str | None)


def decode_generate(spec: ModelSpec, body: Buffer, max_json_bytes: int = MAX_JSON_BYTES) -> Inference:
    """Read the body of a generate request.

    Raises:
        GatewayError: INVALID, TOO_LARGE or UNSUPPORTED, with a message for the client.
    """
    check_json(body, max_json_bytes)
    fields = parse(_FIELDS, body)
    inputs = tuple(
        _tensor(tensor, fields.pop(tensor.name)) for tensor in spec.inputs if tensor.name in fields
    )
    request_id = (parse(_ID, fields.pop("id")) if "id" in fields else None) or ""
    sent = (parse(_PARAMETERS, fields.pop("parameters")) if "parameters" in fields else None) or {}
    sent |= {name: _parameter(name, raw) for name, raw in fields.items()}
    parameters = {name: value for name, value in sent.items() if value is not None}
    timeout_s = extract_timeout(parameters) if parameters else math.inf
    return Inference(request_id, inputs, (), PLAIN_OUTPUTS, parameters or NO_PARAMETERS, timeout_s)


def encode_generate(response: Response, request_id: str, nan: JsonNan = "literal") -> bytes:
    """Write an answer; NaN and infinity as ``nan`` says.

    Raises:
        GatewayError: INVALID for an output that JSON cannot carry.
    """
    fields: dict[str, Any] = {"model_name": response.model, "model_version": response.version}
    if request_id:
        fields["id"] = request_id
    fields |= response.parameters
    for tensor in response.outputs:
        values = encode_values(tensor, nan)
        if element_count(tensor.shape) == 1:
            fields[tensor.name] = values[0] if isinstance(values, list) else msgspec.Raw(bytes(values)[1:-1])
        else:
            fields[tensor.name] = values
    return _ENCODE(fields)


def _parameter(name: str, raw: msgspec.Raw) -> Parameter | None:
    try:
        value: Parameter | None = parse(_PARAMETER, raw)
    except GatewayError:
        raise GatewayError(
            Fault.INVALID,
            f"parameter '{printable(name)}' has invalid type. It should be a number, a text, true or false",
        ) from None
    return value


def _tensor(spec: TensorSpec, raw: msgspec.Raw) -> Tensor:
    is_list = bytes(raw).lstrip().startswith(b"[")
    count = len(parse(_VALUES, raw)) if is_list else 1
    listed = raw if is_list else b"[%b]" % bytes(raw)
    shape = _shape(spec, count)
    return Tensor(spec.name, spec.datatype, shape, decode_values(spec.name, spec.datatype, shape, listed))


def _shape(spec: TensorSpec, count: int) -> tuple[int, ...]:
    """Give ``count`` values the rank that the model wants: ones, and the values along the last dimension."""
    fixed = math.prod(dimension for dimension in spec.shape if dimension > 0)
    if -1 not in spec.shape:
        return spec.shape
    free = [place for place, dimension in enumerate(spec.shape) if dimension == -1]
    last = free[-1]
    return tuple(
        max(1, count // max(1, fixed)) if place == last else 1 if dimension == -1 else dimension
        for place, dimension in enumerate(spec.shape)
    )
