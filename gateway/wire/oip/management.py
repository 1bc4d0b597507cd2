"""The JSON bodies of the extensions around models: repository, logging and trace settings.

An empty body, and one that is ``null``, mean the same as an empty object; so it is with its members.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.request import Parameter
from gateway.wire.oip.messages import parse


class _IndexMessage(msgspec.Struct):
    ready: bool | None = None


class _ModelMessage(msgspec.Struct):
    parameters: dict[str, Parameter | None] | None = None


_INDEX: Final = msgspec.json.Decoder(_IndexMessage | None)
_MODEL: Final = msgspec.json.Decoder(_ModelMessage | None)
_LOGGING: Final = msgspec.json.Decoder(dict[str, object] | None)
_TRACING: Final = msgspec.json.Decoder(dict[str, list[str] | str | int | None] | None)


def decode_index(body: bytes) -> bool:
    """Return whether the index is to list only the models that are ready.

    Raises:
        GatewayError: INVALID.
    """
    message = parse(_INDEX, body) if body.strip() else None
    return message is not None and bool(message.ready)


def decode_model_parameters(body: bytes) -> dict[str, Parameter]:
    """Return the parameters with which a model is loaded or unloaded.

    Raises:
        GatewayError: INVALID.
    """
    message = parse(_MODEL, body) if body.strip() else None
    parameters = (message and message.parameters) or {}
    return {name: value for name, value in parameters.items() if value is not None}


def decode_log_settings(body: bytes) -> dict[str, object]:
    """Return the log settings to change, as they were sent.

    Raises:
        GatewayError: INVALID.
    """
    return (parse(_LOGGING, body) if body.strip() else None) or {}


def decode_trace_settings(body: bytes) -> dict[str, list[str] | None]:
    """Return the trace settings to change; None: back to the default. A single value becomes a list of one.

    Raises:
        GatewayError: INVALID.
    """
    settings = (parse(_TRACING, body) if body.strip() else None) or {}
    return {name: _as_list(value) for name, value in settings.items()}


def _as_list(value: list[str] | str | int | None) -> list[str] | None:
    return value if value is None or isinstance(value, list) else [str(value)]
