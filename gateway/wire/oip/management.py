"""The JSON bodies of the extensions around models: repository, logging and trace settings.

An empty body means the same as an empty object.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.request import Parameter
from gateway.wire.oip.messages import parse


class _IndexMessage(msgspec.Struct):
    ready: bool = False


class _ModelMessage(msgspec.Struct):
    parameters: dict[str, Parameter] = {}


_INDEX: Final = msgspec.json.Decoder(_IndexMessage)
_MODEL: Final = msgspec.json.Decoder(_ModelMessage)
_LOGGING: Final = msgspec.json.Decoder(dict[str, object])
_TRACING: Final = msgspec.json.Decoder(dict[str, list[str] | str | int | None])


def decode_index(body: bytes) -> bool:
    """Return whether the index is to list only the models that are ready.

    Raises:
        GatewayError: INVALID.
    """
    return body.strip() != b"" and parse(_INDEX, body).ready


def decode_model_parameters(body: bytes) -> dict[str, Parameter]:
    """Return the parameters with which a model is loaded or unloaded.

    Raises:
        GatewayError: INVALID.
    """
    return parse(_MODEL, body).parameters if body.strip() else {}


def decode_log_settings(body: bytes) -> dict[str, object]:
    """Return the log settings to change, as they were sent.

    Raises:
        GatewayError: INVALID.
    """
    return parse(_LOGGING, body) if body.strip() else {}


def decode_trace_settings(body: bytes) -> dict[str, list[str] | None]:
    """Return the trace settings to change; None: back to the default. A single value becomes a list of one.

    Raises:
        GatewayError: INVALID.
    """
    settings = parse(_TRACING, body) if body.strip() else {}
    return {name: _as_list(value) for name, value in settings.items()}


def _as_list(value: list[str] | str | int | None) -> list[str] | None:
    return value if value is None or isinstance(value, list) else [str(value)]
