"""One inference request, written down once and sent as JSON, as binary data or as a protobuf message."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from gateway.conformance import messages
from gateway.conformance.http_wire import HttpAnswer, parse_json
from gateway.conformance.tensors import (
    CONTENTS,
    SuiteTensor,
    nest,
    read_contents,
    read_json,
    read_raw,
    to_json,
    to_raw,
)
from gateway.conformance.verdicts import NotApplicable, require

HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that is asked for by name."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """An inference request; nothing keeps it from being a wrong one."""

    model: str
    tensors: tuple[SuiteTensor, ...]
    version: str = ""
    id: str = ""
    outputs: tuple[Wanted, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    raw_only: tuple[str, ...] = ()
    """The names of the model's tensors that cannot travel as JSON or typed contents."""

    def but(self, **changes: Any) -> Call:
        """Return the same call with other fields."""
        return replace(self, **changes)

    def with_first(self, **changes: Any) -> Call:
        """Return the same call with its first tensor changed."""
        return self.but(tensors=(replace(self.tensors[0], **changes), *self.tensors[1:]))

    @property
    def path(self) -> str:
        """The path of the model, with the version if one is named."""
        return model_path(self.model, self.version)

    def as_object(self, *, nested: bool = False) -> dict[str, Any]:
        """Return the request as a JSON object with all data in it.

        Raises:
            NotApplicable: when JSON has no word for one of the model's datatypes.
        """
        if self.raw_only:
            raise NotApplicable(f"'{self.raw_only[0]}' has a datatype that JSON has no word for")
        listed = [self._input(tensor) for tensor in self.tensors]
        for entry, tensor in zip(listed, self.tensors, strict=True):
            flat = to_json(tensor)
            entry["data"] = nest(flat, tensor.shape) if nested else flat
        return self._envelope(listed)

    def as_json(self, *, nested: bool = False) -> bytes:
        """Return the request as JSON."""
        return json.dumps(self.as_object(nested=nested)).encode()

    def as_binary(self) -> tuple[bytes, int]:
        """Return the request with its inputs as binary data, and the length of its JSON."""
        listed, tail = [], []
        for tensor in self.tensors:
            tail.append(to_raw(tensor))
            entry = self._input(tensor)
            entry["parameters"] = {**tensor.parameters, "binary_data_size": len(tail[-1])}
            listed.append(entry)
        head = json.dumps(self._envelope(listed)).encode()
        return head + b"".join(tail), len(head)

    def as_message(self, *, typed: bool = False) -> Any:
        """Return the request as a ModelInferRequest, raw or with typed contents.

        Raises:
            NotApplicable: when typed contents have no field for one of the model's datatypes.
        """
        if typed and self.raw_only:
            raise NotApplicable(f"'{self.raw_only[0]}' has a datatype that typed contents have no field for")
        message = messages.ModelInferRequest(model_name=self.model, model_version=self.version, id=self.id)
        _set_parameters(message.parameters, self.parameters)
        for tensor in self.tensors:
            entry = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            _set_parameters(entry.parameters, tensor.parameters)
            if typed:
                values = tensor.values.tolist()
                getattr(entry.contents, CONTENTS.get(tensor.datatype, "bytes_contents")).extend(values)
            else:
                message.raw_input_contents.append(to_raw(tensor))
        for wanted in self.outputs:
            _set_parameters(message.outputs.add(name=wanted.name).parameters, wanted.parameters)
        return message

    def _input(self, tensor: SuiteTensor) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "datatype": tensor.datatype,
        }
        if tensor.parameters:
            entry["parameters"] = dict(tensor.parameters)
        return entry

    def _envelope(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        body: dict[str, Any] = {"id": self.id} if self.id else {}
        if self.parameters:
            body["parameters"] = self.parameters
        body["inputs"] = inputs
        if self.outputs:
            body["outputs"] = [
                {"name": wanted.name, **({"parameters": wanted.parameters} if wanted.parameters else {})}
                for wanted in self.outputs
            ]
        return body


@dataclass(frozen=True, slots=True)
class Reply:
    """An inference answer, whatever it came as."""

    model: str
    version: str
    id: str
    outputs: tuple[SuiteTensor, ...]
    binary: tuple[str, ...] = ()
    """The names of the outputs that came as binary data."""

    @property
    def by_name(self) -> dict[str, SuiteTensor]:
        """The outputs by their names."""
        return {tensor.name: tensor for tensor in self.outputs}

    def same_outputs(self, other: Reply) -> None:
        """Require that ``other`` has the same outputs.

        Raises:
            Violation: when one is missing or differs.
        """
        require(
            set(self.by_name) == set(other.by_name),
            f"the outputs are {sorted(other.by_name)}, not {sorted(self.by_name)}",
        )
        for name, tensor in self.by_name.items():
            difference = tensor.same_as(other.by_name[name])
            require(not difference, difference)


def model_path(model: str, version: str = "", verb: str = "") -> str:
    """Return the path of a model, or of ``verb`` on it."""
    versioned = f"/versions/{quote(version, safe='')}" if version else ""
    return f"/v2/models/{quote(model, safe='')}{versioned}{f'/{verb}' if verb else ''}"


def read_http(answer: HttpAnswer) -> Reply:
    """Read an inference answer, JSON or with binary data behind it.

    Raises:
        Violation: when it is not what the protocol says.
    """
    length = answer.header(HEADER_LENGTH)
    size = int(length) if length.isascii() and length.isdecimal() else -1 if length else len(answer.body)
    require(0 <= size <= len(answer.body), f"{HEADER_LENGTH} is {length[:20]!r}")
    body, tail = parse_json(answer.body[:size]), answer.body[size:]
    require(isinstance(body, dict), "the answer is not a JSON object")
    listed = body.get("outputs")
    require(isinstance(listed, list), "the answer has no list 'outputs'")
    outputs, binary = [], []
    for entry in listed:
        require(isinstance(entry, dict) and isinstance(entry.get("name"), str), "an output has no name")
        name, parameters = entry["name"], entry.get("parameters") or {}
        if isinstance(parameters, dict) and "binary_data_size" in parameters:
            taken = parameters["binary_data_size"]
            require(isinstance(taken, int) and 0 <= taken <= len(tail), f"'{name}' has not so many bytes")
            outputs.append(read_raw(name, entry.get("datatype"), entry.get("shape"), tail[:taken]))
            binary.append(name)
            tail = tail[taken:]
        else:
            outputs.append(read_json(name, entry.get("datatype"), entry.get("shape"), entry.get("data")))
    require(not tail, f"{len(tail)} bytes are left over behind the outputs")
    texts = [str(body.get(key, "")) for key in ("model_name", "model_version", "id")]
    model, version, identifier = texts
    return Reply(model, version, identifier, tuple(outputs), tuple(binary))


def read_message(message: Any) -> Reply:
    """Read a ModelInferResponse.

    Raises:
        Violation: when it is not what the protocol says.
    """
    raw = list(message.raw_output_contents)
    require(not raw or len(raw) == len(message.outputs), "raw_output_contents does not match outputs")
    outputs = []
    for number, entry in enumerate(message.outputs):
        if raw:
            both = entry.contents.ByteSize()
            require(not both, f"'{entry.name}' has contents beside raw_output_contents")
            outputs.append(read_raw(entry.name, entry.datatype, list(entry.shape), raw[number]))
        else:
            outputs.append(read_contents(entry.name, entry.datatype, entry.shape, entry.contents))
    return Reply(message.model_name, message.model_version, message.id, tuple(outputs))


def _set_parameters(into: Any, parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[
            type(value)
        ]
        setattr(into[name], kind, value)
