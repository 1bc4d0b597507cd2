"""The checks that JSON and protobuf share, with the same error messages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import NO_PARAMETERS, SEQUENCE, SEQUENCE_END, SEQUENCE_START, Parameter
from gateway.core.tensor import BYTES, MAX_BYTES_ELEMENTS, MAX_RANK
from gateway.wire.headers import MAX_TIMEOUT_S

TIMEOUT: Final = "timeout"
MAX_DECODED: Final = 1 << 20
"""Elements, or lists of them, that a request may have as JSON or as typed contents: each becomes an object of
its own on the way, on the event loop, and 1 Mi floats take about 0.1 s. Raw data has no such limit."""

MAX_TENSORS: Final = 1024
"""Inputs, and outputs, of one request."""

_MAX_NAME: Final = 256
_MAX_ID: Final = 1024
_MAX_ELEMENTS: Final = 1 << 59  # of 8 bytes at most, less than an address can tell apart
_MAX_DIGITS: Final = 20
_RESERVED_PREFIX: Final = "triton_"
_SEQUENCES: Final = 1 << 64
_FLAGS: Final = (SEQUENCE_START, SEQUENCE_END)
MAX_TENSOR_PARAMETERS: Final = 64
MAX_PARAMETER_CHARS: Final = 64 << 10
"""Of one input or output: its parameters, and the characters of their names and texts together."""

_UNSUPPORTED_OF_TENSORS: Final = frozenset({"classification", "shared_memory_region"})
_OF_TRANSPORT: Final = frozenset(
    {"binary_data", "binary_data_size", "shared_memory_byte_size", "shared_memory_offset"}
)
"""Parameters of inputs and outputs that say how one message carries them. They go no further."""


def check_names(kind: str, names: Sequence[str]) -> None:
    """Refuse names of tensors that are too many, empty, unfit to repeat in a message, or given twice.

    Args:
        kind: ``input`` or ``output``.
        names: of all tensors of that kind.

    Raises:
        GatewayError: INVALID.
    """
    if len(names) > MAX_TENSORS:
        raise GatewayError(Fault.INVALID, f"the request has more than {MAX_TENSORS} {kind}s")
    if not "".join(names).isprintable():
        raise GatewayError(Fault.INVALID, f"the name of an {kind} has characters that cannot be printed")
    for name in names:
        if not 0 < len(name) <= _MAX_NAME:
            raise GatewayError(
                Fault.INVALID, f"the name of an {kind} must have between 1 and {_MAX_NAME} characters"
            )
    if len(set(names)) != len(names):
        twice = next(name for name, times in Counter(names).items() if times > 1)
        # Triton's words.
        raise GatewayError(
            Fault.INVALID,
            f"Duplicate output name '{twice}' is not allowed in a request"
            if kind == "output"
            else f"{kind} '{twice}' already exists in request",
        )


def check_address(model: str, version: str, request_id: str) -> None:
    """Refuse names of models and requests that are too long: they end up in keys, labels and logs.

    Raises:
        GatewayError: INVALID.
    """
    if len(model) > _MAX_NAME or len(version) > _MAX_NAME:
        raise GatewayError(
            Fault.INVALID, f"the names of a model and its version have at most {_MAX_NAME} characters"
        )
    if len(request_id) > _MAX_ID:
        raise GatewayError(Fault.INVALID, f"the id of a request has at most {_MAX_ID} characters")


def most_decoded(datatype: str) -> int:
    """Return how many elements a tensor of ``datatype`` may have where each becomes an object of its own."""
    return MAX_BYTES_ELEMENTS if datatype == BYTES else MAX_DECODED


def check_rank(kind: str, name: str, rank: int) -> None:
    """Refuse more dimensions than a tensor can have.

    Raises:
        GatewayError: INVALID.
    """
    if rank > MAX_RANK:
        raise GatewayError(Fault.INVALID, f"{kind} '{name}' has more than {MAX_RANK} dimensions")


def check_shape(kind: str, name: str, shape: tuple[int, ...]) -> None:
    """Refuse a shape that no tensor can have, before its dimensions are multiplied.

    Raises:
        GatewayError: INVALID.
    """
    check_rank(kind, name, len(shape))
    if shape and min(shape) < 0:
        raise GatewayError(Fault.INVALID, f"{kind} '{name}' has a negative dimension in its shape")
    # No bytes fill such a shape, whatever its other dimensions; numpy still multiplies those.
    if 0 in shape and math.prod(filter(None, shape)) > _MAX_ELEMENTS:
        raise GatewayError(Fault.INVALID, f"{kind} '{name}' has too large a dimension in its shape")


def extract_timeout(parameters: dict[str, Parameter]) -> float:
    """Check ``parameters``, remove ``timeout`` from them and return its seconds.

    The parameters of a sequence are removed only where its id means none. They are for models with state, in
    this process or another, and what is on the way there takes care of them (``SEQUENCE``).

    Raises:
        GatewayError: INVALID for a reserved name, and for a value that its name cannot have.
    """
    for name in parameters:
        if name.startswith(_RESERVED_PREFIX):
            raise GatewayError(
                Fault.INVALID,
                "parameter keys starting with 'triton_' are reserved for Triton usage and should not be "
                "specified.",
            )
    # bool is an int in Python, and is no priority.
    priority = parameters.get("priority", 0)
    if type(priority) is not int or priority < 0:
        raise GatewayError(Fault.INVALID, "parameter 'priority' must be a whole number of at least 0")
    _check_sequence(parameters)
    timeout_s = timeout_of(parameters)
    parameters.pop(TIMEOUT, None)
    return timeout_s


def _check_sequence(parameters: dict[str, Parameter]) -> None:
    """Check the parameters of a sequence; an id of 0 or an empty one means that there is none."""
    number = parameters.get(SEQUENCE, 0)
    if not isinstance(number, str) and (type(number) is not int or not 0 <= number < _SEQUENCES):
        raise GatewayError(
            Fault.INVALID, f"parameter '{SEQUENCE}' must be a whole number of 64 bits, or text"
        )
    for name in _FLAGS:
        if not isinstance(parameters.get(name, False), bool):
            raise GatewayError(Fault.INVALID, f"parameter '{name}' must be true or false")
    if not number:
        for name in (SEQUENCE, *_FLAGS):
            parameters.pop(name, None)


def tensor_parameters(kind: str, name: str, parameters: Mapping[str, object]) -> Mapping[str, Parameter]:
    """Return the parameters of one input or output, without those that say how this message carries it.

    A value of None is absent; of any other type that the protocol does not have it is left out.

    Raises:
        GatewayError: UNSUPPORTED for what Edgeway does not support; INVALID for too many parameters.
    """
    kept: dict[str, Parameter] = {}
    characters = 0
    for parameter, value in parameters.items():
        if parameter in _UNSUPPORTED_OF_TENSORS and value is not None:
            raise GatewayError(
                Fault.UNSUPPORTED, f"parameter '{parameter}' of {kind} '{name}' is not supported"
            )
        if parameter not in _OF_TRANSPORT and isinstance(value, bool | int | float | str):
            kept[parameter] = value
            characters += len(parameter) + (len(value) if isinstance(value, str) else 0)
    if len(kept) > MAX_TENSOR_PARAMETERS or characters > MAX_PARAMETER_CHARS:
        raise GatewayError(
            Fault.INVALID,
            f"{kind} '{name}' has more than {MAX_TENSOR_PARAMETERS} parameters, or {MAX_PARAMETER_CHARS} "
            "characters in them",
        )
    return kept or NO_PARAMETERS


def timeout_of(parameters: Mapping[str, Parameter]) -> float:
    """Return the seconds of the parameter ``timeout`` (microseconds); infinity when absent or 0.

    Raises:
        GatewayError: INVALID unless it is an integer of at least 0, or a string of its digits: clients
            whose JSON numbers are floats send large ones so.
    """
    microseconds = parameters.get(TIMEOUT, 0)
    if isinstance(microseconds, str) and microseconds.isascii() and microseconds.isdecimal():
        microseconds = int(microseconds[:_MAX_DIGITS])
    # bool is an int in Python, and is no duration.
    if type(microseconds) is not int or microseconds < 0:
        raise GatewayError(Fault.INVALID, "parameter 'timeout' must be a whole number of microseconds")
    return min(microseconds / 1e6, MAX_TIMEOUT_S) if microseconds else math.inf
