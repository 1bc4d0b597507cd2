"""The JSON messages of the Open Inference Protocol, typed once, so that msgspec checks them in C."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Parameter
from gateway.core.tensor import Buffer
from gateway.wire.oip.json_nan import with_texts

Message = TypeVar("Message")

ABSENT: Final = msgspec.Raw()
"""A tensor without ``data``: its elements travel in the binary section."""

Parameters = dict[str, Parameter | None] | None
"""Of a request. Every optional member may be null, which is the same as leaving it out: clients whose
messages are objects of classes (MLServer's, KServe's) write each of their fields."""


class TensorMessage(msgspec.Struct, gc=False):
    """A tensor; ``data`` stays raw JSON until its datatype says how to read it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Parameters = None
    data: msgspec.Raw = ABSENT


class WantedMessage(msgspec.Struct, gc=False):
    """An output that the client wants."""

    name: str
    parameters: Parameters = None


class RequestMessage(msgspec.Struct, gc=False):
    """The body of an infer request."""

    inputs: list[TensorMessage]
    id: str | None = None
    parameters: Parameters = None
    outputs: list[WantedMessage] | None = None


class AnsweredTensorMessage(msgspec.Struct, gc=False):
    """A tensor of another server, whose parameters may be of any type."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw = ABSENT


class ResponseMessage(msgspec.Struct, gc=False):
    """The body of another server's answer."""

    outputs: list[AnsweredTensorMessage]
    model_name: str | None = None
    model_version: str | None = None
    parameters: dict[str, Any] | None = None


class ErrorMessage(msgspec.Struct, gc=False):
    """The body of another server's refusal."""

    error: str = ""


class TensorOut(msgspec.Struct, omit_defaults=True, gc=False):
    """A tensor to be written; ``data`` None: its elements follow in the binary section."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Parameter] = {}
    data: list[Any] | msgspec.Raw | None = None


class WantedOut(msgspec.Struct, omit_defaults=True, gc=False):
    """A wanted output to be written."""

    name: str
    parameters: dict[str, Parameter] = {}


class RequestOut(msgspec.Struct, omit_defaults=True, gc=False):
    """An infer request to be written."""

    inputs: list[TensorOut]
    id: str = ""
    parameters: dict[str, Parameter] = {}
    outputs: list[WantedOut] = []


class ResponseOut(msgspec.Struct, omit_defaults=True, gc=False):
    """An answer to be written."""

    model_name: str
    model_version: str
    outputs: list[TensorOut]
    id: str = ""
    parameters: dict[str, Parameter] = {}


def parse(decoder: msgspec.json.Decoder[Message], body: Buffer) -> Message:
    """Read a message, also one whose elements are NaN or infinity by name.

    Raises:
        GatewayError: INVALID, saying where and what was expected, without repeating what was found.
    """
    try:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            named = with_texts(body)
            if named is None:
                raise
            return decoder.decode(named)
    except msgspec.ValidationError as error:
        raise GatewayError(Fault.INVALID, f"the request is not as the protocol has it: {error}") from None
    except msgspec.DecodeError as error:
        raise GatewayError(Fault.INVALID, f"failed to parse the request JSON: {error}") from None
    except UnicodeError:
        raise GatewayError(Fault.INVALID, "failed to parse the request JSON: it is not UTF-8") from None
    except RecursionError:
        raise GatewayError(Fault.INVALID, "failed to parse the request JSON: nested too deeply") from None
