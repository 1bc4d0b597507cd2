"""The model configuration of another server, as it is passed on: protobuf ⇄ JSON in Triton's form.

In that form fields have their names in the protocol, enums are names, and numbers of 64 bits are numbers.
Fields without a value stand there too: clients look them up without asking whether they are there.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import ModelSettings
from gateway.core.tensor import Buffer
from gateway.wire.oip.configured_answers import forbids_cache
from gateway.wire.oip.proto import parse
from gateway.wire.proto import messages

MAX_BYTES: Final = 64 << 10
"""Of a configuration, in JSON too: answers about it are made by the event loop."""

HERE_BYTES: Final = 10 << 10
"""Of one that is read on the event loop, at most about 5 ms. Triton's examples have no more."""

_DEEPEST: Final = 32
_MAX_OBJECTS: Final = 1000
_MAX_VALUES: Final = 8000
_encode: Final = msgspec.json.Encoder().encode
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


def decode_config(body: Buffer) -> bytes:
    """Return the configuration that is the body of another server's response.

    What the protocol has stands in it in the protocol's form, also where it came as a text or by another of
    protobuf's spellings; what it does not have stays as it is.

    Raises:
        GatewayError: INVALID when it is not what the protocol has.
    """
    if len(body) > MAX_BYTES:
        raise _unfit(f"is larger than {MAX_BYTES} bytes")
    text = bytes(body)
    if text.count(b"{") > _MAX_OBJECTS or text.count(b",") > _MAX_VALUES:
        raise _unfit("has too many parts")
    try:
        given = _OBJECT.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _unfit("is not as the protocol has it") from None
    return _written(_in_form(read_config(encode_config(given).config), given))


def decode_config_message(body: Buffer) -> bytes:
    """Return the configuration of a ModelConfigResponse in JSON.

    Raises:
        GatewayError: INVALID when it is too large, or no such message.
    """
    if len(body) > MAX_BYTES:
        raise _unfit(f"is larger than {MAX_BYTES} bytes")
    return _written(read_config(parse(messages.ModelConfigResponse, bytes(body)).config))


def read_config(message: Any) -> dict[str, Any]:
    """Return an ``inference.ModelConfig`` in the form of JSON.

    Raises:
        GatewayError: INVALID when it has too many parts.
    """
    return _Reader().object(message, _DEEPEST)


def encode_config(config: Mapping[str, Any]) -> Any:
    """Write a ModelConfigResponse. What this version of the protocol does not have is left out.

    Raises:
        GatewayError: INVALID when it is not what the protocol has.
    """
    try:
        return json_format.ParseDict(
            {"config": config}, messages.ModelConfigResponse(), ignore_unknown_fields=True
        )
    except (json_format.ParseError, TypeError, ValueError, AttributeError, RecursionError):
        raise _unfit("is not as the protocol has it") from None


def passed_on(config: bytes, model: str, own: ModelSettings | None) -> dict[str, Any]:
    """Return the configuration under the name that was asked for.

    ``own``: how this process serves the model before the other server does; then what both take is what may
    be sent, and answers come from a cache where either has one and neither forbids it.
    """
    found = {**_OBJECT.decode(config), "name": model}
    if own is None:
        return found
    theirs = found.get("max_batch_size", 0)
    if isinstance(theirs, int) and own.max_batch_size and theirs > own.max_batch_size:
        found["max_batch_size"] = own.max_batch_size
    if own.is_cached and not forbids_cache(found):
        found["response_cache"] = {"enable": True}
    return found


class _Reader:
    """Reads one message, of no more than so many parts."""

    def __init__(self) -> None:
        self._left = _MAX_OBJECTS

    def __repr__(self) -> str:
        return f"<_Reader of {self._left} objects more>"

    def object(self, message: Any, deepest: int) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0 or not deepest:
            raise _unfit("has too many parts")
        found: dict[str, Any] = {}
        for field in message.DESCRIPTOR.fields:
            value = getattr(message, field.name)
            if field.is_repeated and _is_map(field):
                values = field.message_type.fields_by_name["value"]
                found[field.name] = {
                    str(key): self._value(values, value[key], deepest) for key in sorted(value)
                }
            elif field.is_repeated:
                found[field.name] = [self._value(field, each, deepest) for each in value]
            elif not field.has_presence or message.HasField(field.name):
                found[field.name] = self._value(field, value, deepest)
        return found

    def _value(self, field: Any, value: Any, deepest: int) -> Any:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            return self.object(value, deepest - 1)
        if field.type == FieldDescriptor.TYPE_ENUM:
            named = field.enum_type.values_by_number.get(value)
            return named.name if named is not None else value
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _in_form(read: Any, given: Any) -> Any:
    """Return what was ``given``; what of it the protocol has, in the form in which it was ``read``."""
    if isinstance(read, dict) and isinstance(given, dict):
        # Absent, as protobuf has it: clients look for nothing in what is null.
        more = {name: value for name, value in given.items() if name not in read and value is not None}
        return {name: _in_form(value, given.get(name)) for name, value in read.items()} | more
    if isinstance(read, list) and isinstance(given, list) and len(read) == len(given):
        return [_in_form(*each) for each in zip(read, given, strict=True)]
    # An enum's value that a newer server has was not read.
    return given if type(given) is type(read) else read


def _written(config: Mapping[str, Any]) -> bytes:
    text = _encode(config)
    if len(text) > MAX_BYTES:
        raise _unfit(f"is larger than {MAX_BYTES} bytes")
    return text


def _is_map(field: Any) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def _unfit(why: str) -> GatewayError:
    return GatewayError(Fault.INVALID, f"the configuration of the model {why}")
