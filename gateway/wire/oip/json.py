"""The Open Inference Protocol over HTTP: bodies ⇄ the gateway's own values, without any I/O.

A body is JSON, or JSON followed by a binary section that holds the raw elements of the tensors which
name a ``binary_data_size``, in their order; ``Inference-Header-Content-Length`` is the length
of the JSON. Binary elements are never copied: a Tensor's data is a view of the body.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from gateway.core.errors import Fault, GatewayError, printable
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
    MAX_BYTES_ELEMENTS,
    Buffer,
    Tensor,
    check_size,
    element_count,
    too_many_texts,
)
from gateway.wire.headers import INFERENCE_HEADER_LENGTH
from gateway.wire.oip.classification import ClassRules, classify, wanted_parameters
from gateway.wire.oip.inference import BINARY_OUTPUTS, PLAIN_OUTPUTS, Inference, OutputFormat
from gateway.wire.oip.json_bounds import MAX_JSON_BYTES, check_json
from gateway.wire.oip.json_nan import JsonNan
from gateway.wire.oip.messages import (
    AnsweredTensorMessage,
    Parameters,
    RequestMessage,
    RequestOut,
    ResponseMessage,
    ResponseOut,
    TensorMessage,
    TensorOut,
    WantedMessage,
    WantedOut,
    parse,
)
from gateway.wire.oip.validation import (
    check_address,
    check_names,
    check_shape,
    extract_timeout,
    tensor_parameters,
)
from gateway.wire.oip.values import decode_values, encode_values

MAX_ANSWERED_BYTES: Final = 64 << 20
"""Of the JSON of another server's answer."""

_LENGTHS: Final = 1024
BINARY_SIZE: Final = "binary_data_size"
BINARY_OUTPUT: Final = "binary_data_output"
BINARY: Final = "binary_data"
_NULL: Final = b"null"

_REQUEST: Final = msgspec.json.Decoder(RequestMessage)
_RESPONSE: Final = msgspec.json.Decoder(ResponseMessage)
_ENCODE: Final = msgspec.json.Encoder().encode
_AS_BINARY: Final[dict[str, Parameter]] = {BINARY: True}


class Body(msgspec.Struct, frozen=True):
    """A body to be sent. ``header_length`` is None when it is JSON only."""

    parts: tuple[Buffer, ...] | list[Buffer]
    header_length: int | None

    def join(self) -> bytes:
        """Return the body in one piece."""
        return b"".join(self.parts)


@lru_cache(_LENGTHS)
def parse_header_length(value: str | None) -> int | None:
    """Read ``Inference-Header-Content-Length``; None when there is none. 0: the body has no JSON.

    Raises:
        GatewayError: INVALID unless it is a plain decimal number.
    """
    if value is None:
        return None
    # isdecimal alone would take other scripts' digits; 18 of them are more than any body has.
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):
        raise GatewayError(Fault.INVALID, f"{INFERENCE_HEADER_LENGTH} must be a whole number of bytes")
    return int(value)


def decode_request(
    body: Buffer, header_length: int | None, max_json_bytes: int = MAX_JSON_BYTES, model: str = ""
) -> Inference:
    """Read the body of an infer request.

    Args:
        body: the whole body; the tensors keep views of it.
        header_length: bytes of JSON at its beginning, None when it is JSON only.
        max_json_bytes: of JSON.
        model: the name that the path has, for error messages.

    Raises:
        GatewayError: INVALID, TOO_LARGE or UNSUPPORTED, with a message for the client.
    """
    json, binary = _split(body, header_length)
    check_json(json, max_json_bytes)
    message = parse(_REQUEST, json)
    default, timeout_s, parameters = _decode_parameters(message.parameters)
    inputs = _decode_tensors("input", message.inputs, binary, model)
    outputs, output_format = _decode_outputs(message.outputs or (), default=default)
    request_id = message.id or ""
    check_address("", "", request_id)
    return Inference(request_id, inputs, outputs, output_format, parameters, timeout_s)


def encode_response(
    response: Response, output_format: OutputFormat, request_id: str, nan: JsonNan = "literal"
) -> Body:
    """Write an answer; NaN and infinity that are wanted as JSON as ``nan`` says.

    Raises:
        GatewayError: INVALID for an output wanted as JSON that JSON cannot carry.
    """
    outputs, chunks = [], []
    for tensor in response.outputs:
        if output_format.writes_binary(tensor.name):
            outputs.append(_binary_out(tensor))
            chunks.append(tensor.data)
        else:
            outputs.append(_plain_out(tensor, encode_values(tensor, nan)))
    header = _ENCODE(
        ResponseOut(response.model, response.version, outputs, request_id, dict(response.parameters))
    )
    return Body([header, *chunks], len(header) if chunks else None)


def encode_apart(
    response: Response, output_format: OutputFormat, request_id: str, nan: JsonNan, rules: ClassRules
) -> tuple[list[memoryview], int | None]:
    """Write an answer as ``encode_response`` does, for another process: its parts and its header length.

    Classes are made of the outputs that are wanted so, by the ``rules``.

    Raises:
        GatewayError: as ``encode_response`` has it.
    """
    if output_format.classes:
        response = classify(response, output_format.classes, rules)
    body = encode_response(response, output_format, request_id, nan)
    return [memoryview(part) for part in body.parts], body.header_length


def encode_request(request: Request) -> Body:
    """Write an infer request, binary both ways; model, deadline and caller travel outside of the body.

    Raises:
        GatewayError: INVALID for a parameter that JSON cannot carry.
    """
    _check_carried(request)
    parameters = dict(request.parameters)
    if not request.outputs:
        parameters[BINARY_OUTPUT] = True
    header = _ENCODE(
        RequestOut(
            [_binary_out(tensor) for tensor in request.inputs],
            request.id,
            parameters,
            [_wanted_out(request, name, _AS_BINARY) for name in request.outputs],
        )
    )
    return Body([header, *(tensor.data for tensor in request.inputs)], len(header))


def encode_plain_request(request: Request, nan: JsonNan = "refuse") -> Body:
    """Write an infer request as JSON alone, for a server without the binary extension.

    Raises:
        GatewayError: INVALID for an input or a parameter that JSON cannot carry.
    """
    _check_carried(request)
    inputs = []
    for tensor in request.inputs:
        try:
            values = encode_values(tensor, nan)
        except GatewayError as error:
            raise GatewayError(
                Fault.INVALID,
                f"the endpoint of this model takes JSON only, which cannot carry input '{tensor.name}' of "
                f"{tensor.datatype}",
            ) from error
        inputs.append(_plain_out(tensor, values))
    outputs = [_wanted_out(request, name, NO_PARAMETERS) for name in request.outputs]
    return Body([_ENCODE(RequestOut(inputs, request.id, dict(request.parameters), outputs))], None)


def decode_response(body: Buffer, header_length: int | None, provenance: Provenance) -> Response:
    """Read another server's answer, whether it kept to binary data or not.

    Raises:
        GatewayError: INVALID when it is not what the protocol allows.
    """
    json, binary = _split(body, header_length)
    check_json(json, MAX_ANSWERED_BYTES)
    message = parse(_RESPONSE, json)
    parameters = {
        name: value
        for name, value in (message.parameters or NO_PARAMETERS).items()
        if isinstance(value, bool | int | float | str)
    }
    return Response(
        message.model_name or "",
        message.model_version or "",
        _decode_tensors("output", message.outputs, binary),
        provenance,
        parameters or NO_PARAMETERS,
    )


def _check_carried(request: Request) -> None:
    """Refuse parameters that JSON cannot carry: written as null, they would be left out in silence."""
    for parameters in (
        request.parameters,
        *[tensor.parameters for tensor in request.inputs],
        *request.output_parameters.values(),
    ):
        for name, value in parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise GatewayError(
                    Fault.INVALID,
                    f"parameter '{printable(name)}' is NaN or infinity: the endpoint of this model takes "
                    "parameters as JSON, which cannot carry it",
                )


def _split(body: Buffer, header_length: int | None) -> tuple[Buffer, memoryview]:
    view = memoryview(body)
    if header_length is None:
        return body, view[len(body) :]
    if header_length > len(body):
        raise GatewayError(Fault.INVALID, f"{INFERENCE_HEADER_LENGTH} is larger than the body")
    return view[:header_length], view[header_length:]


def _decode_parameters(sent: Parameters) -> tuple[bool, float, Mapping[str, Parameter]]:
    if not sent:
        return False, math.inf, NO_PARAMETERS
    parameters = {name: value for name, value in sent.items() if value is not None}
    default = parameters.pop(BINARY_OUTPUT, False)
    if not isinstance(default, bool):
        raise GatewayError(Fault.INVALID, f"parameter '{BINARY_OUTPUT}' must be true or false")
    if not parameters:
        return default, math.inf, NO_PARAMETERS
    timeout_s = extract_timeout(parameters)
    return default, timeout_s, parameters or NO_PARAMETERS


def _decode_tensors(
    kind: str, messages: Sequence[TensorMessage | AnsweredTensorMessage], binary: memoryview, model: str = ""
) -> tuple[Tensor, ...]:
    check_names(kind, [message.name for message in messages])
    left = MAX_BYTES_ELEMENTS
    for message in messages:
        check_shape(kind, message.name, message.shape)
        if message.datatype == BYTES and (left := left - element_count(message.shape)) < 0:
            # Before the first of them is walked over.
            raise too_many_texts()
    tensors = []
    start, end = 0, len(binary)
    for message in messages:
        size, parameters = None, NO_PARAMETERS
        if message.parameters:
            size = message.parameters.get(BINARY_SIZE)
            parameters = tensor_parameters(kind, message.name, message.parameters)
        if size is None:
            tensors.append(_decode_json(kind, message, parameters))
            continue
        stop = start + _checked_size(kind, message, size)
        if stop > end:
            raise GatewayError(
                Fault.INVALID,
                f"unexpected size for {kind} '{message.name}': the body ends before its {size} bytes do",
            )
        tensor = Tensor(message.name, message.datatype, message.shape, binary[start:stop], parameters)
        check_size(tensor, model)
        tensors.append(tensor)
        start = stop
    if start != end:
        raise GatewayError(Fault.INVALID, f"unexpected additional {kind} data: {end - start} bytes")
    return tuple(tensors)


def _checked_size(kind: str, message: TensorMessage | AnsweredTensorMessage, size: Any) -> int:
    # bool is an int in Python, and is no size.
    if type(size) is not int or size < 0:
        raise GatewayError(
            Fault.INVALID, f"'{BINARY_SIZE}' of {kind} '{message.name}' must be a whole number of bytes"
        )
    if _has_data(message):
        raise GatewayError(
            Fault.INVALID, f"{kind} '{message.name}' has both data and {BINARY_SIZE}: send one of them"
        )
    return size


def _has_data(message: TensorMessage | AnsweredTensorMessage) -> bool:
    raw = memoryview(message.data)
    return raw.nbytes > len(_NULL) or bytes(raw) not in {b"", _NULL}


def _decode_json(
    kind: str, message: TensorMessage | AnsweredTensorMessage, parameters: Mapping[str, Parameter]
) -> Tensor:
    name, datatype, shape = message.name, message.datatype, message.shape
    if not _has_data(message):
        raise GatewayError(
            Fault.INVALID, f"{kind} '{name}' has neither data nor {BINARY_SIZE}: send one of them"
        )
    values = decode_values(name, datatype, shape, memoryview(message.data))
    return Tensor(name, datatype, shape, values, parameters)


def _decode_outputs(
    messages: Sequence[WantedMessage], *, default: bool
) -> tuple[tuple[str, ...], OutputFormat]:
    if not messages:
        return (), BINARY_OUTPUTS if default else PLAIN_OUTPUTS
    names = tuple(message.name for message in messages)
    check_names("output", names)
    named, classes, parameters = {}, {}, {}
    for message in messages:
        is_binary: object = default
        if sent := message.parameters:
            is_binary = default if (choice := sent.pop(BINARY, None)) is None else choice
            count, kept = wanted_parameters(message.name, sent)
            if count:
                classes[message.name] = count
            if kept:
                parameters[message.name] = kept
        if not isinstance(is_binary, bool):
            raise GatewayError(
                Fault.INVALID, f"parameter '{BINARY}' of output '{message.name}' must be true or false"
            )
        named[message.name] = is_binary
    return names, OutputFormat(default, named, classes, parameters or NO_OUTPUT_PARAMETERS)


def _binary_out(tensor: Tensor) -> TensorOut:
    parameters: dict[str, Parameter] = {**tensor.parameters, BINARY_SIZE: len(tensor.data)}
    return TensorOut(tensor.name, tensor.datatype, tensor.shape, parameters)


def _plain_out(tensor: Tensor, values: list[Any] | msgspec.Raw) -> TensorOut:
    return TensorOut(tensor.name, tensor.datatype, tensor.shape, dict(tensor.parameters), values)


def _wanted_out(request: Request, name: str, transport: Mapping[str, Parameter]) -> WantedOut:
    parameters = request.output_parameters.get(name, NO_PARAMETERS)
    return WantedOut(name, {**parameters, **transport})
