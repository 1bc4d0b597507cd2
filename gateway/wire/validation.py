"""What the codecs of both protocols refuse, in the same words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, Parameter
from gateway.core.tensor import MAX_RANK
from gateway.wire.headers import MAX_TIMEOUT_S

TIMEOUT: Final = "timeout"
MAX_DECODED: Final = 1 << 22
"""Elements, or lists of them, that one tensor may have as JSON or as typed contents: each becomes an object
of its own on the way, and 4 Mi floats are 130 MiB in Python. Raw data has no such limit."""

_MAX_NAME: Final = 256
_MAX_ID: Final = 1024
_MAX_ELEMENTS: Final = 1 << 59  # of 8 bytes at most, less than an address can tell apart
_MAX_DIGITS: Final = 20
_RESERVED_PREFIX: Final = "triton_"
_SEQUENCES: Final = 1 << 64
_FLAGS: Final = ("sequence_start", "sequence_end")
_UNSUPPORTED_OF_TENSORS: Final = frozenset({"classification", "shared_memory_region"})


def check_names(kind: str, names: Sequence[str]) -> None:
    """Refuse names of tensors that are empty, unfit to repeat in a message, or given twice.

    Args:
        kind: ``input`` or ``output``.
        names: of all tensors of that kind.

    Raises:
        GatewayError: INVALID.
    """
    if not "".join(names).isprintable():
        raise GatewayError(Fault.INVALID, f"the name of an {kind} has characters that cannot be printed")
    for name in names:
        if not 0 < len(name) <= _MAX_NAME:
            raise GatewayError(
                Fault.INVALID, f"the name of an {kind} must have between 1 and {_MAX_NAME} characters"
            )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise GatewayError(Fault.INVALID, f"{kind} '{twice}' is given more than once")


def check_address(model: str, version: str, request_id: str) -> None:
    """Refuse names of models and requests that nobody gives: they end up in keys, labels and logs.

    Raises:
        GatewayError: INVALID.
    """
    if len(model) > _MAX_NAME or len(version) > _MAX_NAME:
        raise GatewayError(
            Fault.INVALID, f"the names of a model and its version have at most {_MAX_NAME} characters"
        )
    if len(request_id) > _MAX_ID:
        raise GatewayError(Fault.INVALID, f"the id of a request has at most {_MAX_ID} characters")


def check_shape(kind: str, name: str, shape: tuple[int, ...]) -> None:
    """Refuse a shape that no tensor can have, before its dimensions are multiplied.

    Raises:
        GatewayError: INVALID.
    """
    if len(shape) > MAX_RANK:
        raise GatewayError(Fault.INVALID, f"{kind} '{name}' has more than {MAX_RANK} dimensions")
    if shape and min(shape) < 0:
        raise GatewayError(Fault.INVALID, f"{kind} '{name}' has a negative dimension in its shape")
    # No bytes fill such a shape, whatever its other dimensions; numpy still multiplies those.
    if 0 in shape and math.prod(filter(None, shape)) > _MAX_ELEMENTS:
        raise GatewayError(Fault.INVALID, f"{kind} '{name}' has too large a dimension in its shape")


def settle(parameters: dict[str, Parameter]) -> float:
    """Take out of ``parameters`` what is decided here, and return the seconds of ``timeout``.

    A sequence is not decided here. A model in this process has no state and no use for it; a model behind
    another server may have, so what is said of it stays, and whoever meets it takes care
    (``gateway.core.request.SEQUENCE``).

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
    _settle_sequence(parameters)
    timeout_s = timeout_of(parameters)
    parameters.pop(TIMEOUT, None)
    return timeout_s


def _settle_sequence(parameters: dict[str, Parameter]) -> None:
    """Check what is said of a sequence; an id of 0 or no text means that there is none."""
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


def check_tensor_parameters(kind: str, name: str, parameters: Iterable[str]) -> None:
    """Refuse parameters of one input or output that ask for what Edgeway does not do.

    Raises:
        GatewayError: UNSUPPORTED.
    """
    for parameter in parameters:
        if parameter in _UNSUPPORTED_OF_TENSORS:
            raise GatewayError(
                Fault.UNSUPPORTED, f"parameter '{parameter}' of {kind} '{name}' is not supported"
            )


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
