"""The protocol's small JSON bodies: errors, health, metadata of server and models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.tensor import Buffer
from gateway.wire.oip.messages import ErrorMessage

BINARY: Final = "binary_tensor_data"
EXTENSIONS: Final = (
    BINARY,
    "classification",
    "generate",
    "logging",
    "model_configuration",
    "model_repository",
    "parameters",
    "sequence",
    "statistics",
    "trace",
)
"""What of the protocol's extensions Edgeway serves, in the protocol's names."""

LIVE: Final = b'{"live":true}'
READY: Final = b'{"ready":true,"live":true}'
"""Some clients look for ``live`` in the answer about readiness, as the protocol's text has it."""

MAX_READ_BYTES: Final = 256 << 10
"""Of another server's metadata, or of its error message: longer ones are not read."""

_MAX_MESSAGE: Final = 200

_encode: Final = msgspec.json.Encoder().encode


_Dimension = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""What protobuf has room for."""


class _TensorMessage(msgspec.Struct):
    name: str = ""
    datatype: str = ""
    shape: tuple[_Dimension, ...] | None = None


class _ServerMessage(msgspec.Struct):
    name: str
    extensions: list[str] | None = None


class _ModelMessage(msgspec.Struct):
    name: str
    versions: tuple[str, ...] | None = None
    platform: str | None = None
    inputs: list[_TensorMessage] | None = None
    outputs: list[_TensorMessage] | None = None


_ERROR: Final = msgspec.json.Decoder(ErrorMessage)
_SERVER: Final = msgspec.json.Decoder(_ServerMessage)
_MODEL: Final = msgspec.json.Decoder(_ModelMessage)


def encode_error(message: str) -> bytes:
    """Write the body of every refusal."""
    return _encode({"error": message})


def decode_error(body: Buffer) -> str:
    """Return the error message of another server, fit to be passed on; empty when there is none.

    It is cut at 200 characters and holds printable ones only: it comes from elsewhere.
    """
    if len(body) > MAX_READ_BYTES:
        return ""
    try:
        text = _ERROR.decode(body).error
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    return printable(text, _MAX_MESSAGE)


def encode_not_ready() -> bytes:
    """Write the answer of a server that lives and does not serve."""
    return _encode({"ready": False, "live": True, "error": "the server is not ready"})


def encode_model_ready(model: str, *, ready: bool) -> bytes:
    """Write the answer about one model's readiness."""
    if ready:
        return _encode({"name": model, "ready": True})
    return _encode({"name": model, "ready": False, "error": "the model is not ready"})


def encode_server(name: str, version: str, extensions: Sequence[str] = EXTENSIONS) -> bytes:
    """Write the server's metadata."""
    return _encode({"name": name, "version": version, "extensions": extensions})


def decode_extensions(body: Buffer) -> Sequence[str] | None:
    """Return the extensions that another server's metadata list; None when they list none."""
    if len(body) > MAX_READ_BYTES:
        return None
    try:
        return _SERVER.decode(body).extensions
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def encode_model(spec: ModelSpec) -> bytes:
    """Write a model's metadata."""
    return _encode(
        {
            "name": spec.name,
            "versions": spec.versions,
            "platform": spec.platform,
            "inputs": [_tensor(tensor) for tensor in spec.inputs],
            "outputs": [_tensor(tensor) for tensor in spec.outputs],
        }
    )


def decode_model(body: Buffer) -> ModelSpec:
    """Read another server's metadata of a model.

    Raises:
        GatewayError: INVALID when it is not what the protocol allows.
    """
    try:
        message = _MODEL.decode(body[: MAX_READ_BYTES + 1])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise GatewayError(
            Fault.INVALID, "the metadata of the model are not as the protocol has them"
        ) from None
    return ModelSpec(
        message.name,
        message.versions or (),
        message.platform or "",
        _specs(message.inputs),
        _specs(message.outputs),
    )


def _tensor(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _specs(messages: list[_TensorMessage] | None) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(message.name, message.datatype, message.shape or ()) for message in messages or ()
    )
