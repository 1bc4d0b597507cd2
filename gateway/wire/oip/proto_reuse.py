"""ModelInferRequest and ModelInferResponse on the wire, read and written without protobuf where they can be.

protobuf copies every byte that it reads and writes. Tensors that travel raw are the last fields of a
message, so that all before them is a head, which repeats from request to request: what it means is
remembered by its bytes, and the tensors are views of the message. Only a well-formed request of the
common kind takes this way; any other goes through protobuf and ``oip_proto``, which are the reference and
say what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError

from gateway.core.offload import HERE_MESSAGE_BYTES
from gateway.core.partitions import Lesson, Partition, PartitionedMemory
from gateway.core.request import Parameter, Response
from gateway.core.tensor import BYTES, Buffer, Tensor, check_size
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.inference import Inference, OutputFormat
from gateway.wire.oip.proto import varint
from gateway.wire.oip.proto_bounds import MAX_PARSED_BYTES, check_fields
from gateway.wire.oip.reuse import (
    MAX_HEAD_BYTES,
    MAX_PLANS_BYTES,
    PLANS_BYTES,
    Layout,
    plan_cost,
    remember,
)
from gateway.wire.proto import messages

_ID: Final = 0x1A
_RAW: Final = 0x3A
_KNOWN: Final = frozenset({0x0A, 0x12, _ID, 0x22, 0x2A, 0x32, _RAW})
"""Tags of the fields 1 to 7, all of which have a length."""

_MAX_ID: Final = 1024
_MOST: Final = 4096
"""Bytes of an id, and fields, with which a message is still a common one."""

_RAW_OUT: Final = b"\x32"
_ID_OUT: Final = b"\x1a"


class _Plan(msgspec.Struct, frozen=True, gc=False):
    """What a head means.

    ``entries``: name, datatype, shape, size in bytes (-1 for BYTES) and parameters of each input.
    """

    model: str
    version: str
    entries: tuple[tuple[str, str, tuple[int, ...], int, Mapping[str, Parameter]], ...]
    outputs: tuple[str, ...]
    output_format: OutputFormat
    parameters: Mapping[str, Parameter]
    timeout_s: float
    marks_final: bool


class InferMessages:
    """Reads requests and writes answers, remembering heads of each.

    Those of requests are learned when the request is answered, and found by their own tenant and residency
    class (``gateway.core.partitions``).
    """

    def __init__(self) -> None:
        self._plans = PartitionedMemory[bytes, _Plan](PLANS_BYTES, MAX_PLANS_BYTES)
        self._heads: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}

    def __repr__(self) -> str:
        return f"<InferMessages {len(self._plans)} requests, {len(self._heads)} answers>"

    def decode(self, message: Buffer, partition: Partition | None = None) -> Inference | None:
        """Read a ModelInferRequest; nothing is known or learned without a ``partition``.

        None: it would hold the event loop, and ``reference`` reads it elsewhere.

        Raises:
            GatewayError: as ``oip_proto.decode_request`` has it.
        """
        found = _split(message)
        if found is not None:
            head, request_id, raws = found
            plan = None if partition is None else self._plans.get(partition, head)
            if plan is None and len(head) > HERE_MESSAGE_BYTES:
                return None
            lesson, inputs = None, None
            if plan is not None:
                inputs = _inputs(plan, raws)
            elif read := _plan(head, raws):
                plan, inputs = read
                if partition is not None and len(head) <= MAX_HEAD_BYTES:
                    lesson = Lesson(self._plans, partition, head, plan, plan_cost(head))
            if plan is not None and inputs is not None:
                return Inference(
                    request_id,
                    inputs,
                    plan.outputs,
                    plan.output_format,
                    plan.parameters,
                    plan.timeout_s,
                    plan.model,
                    plan.version,
                    plan.marks_final,
                    lesson,
                )
        return reference(message) if len(message) <= HERE_MESSAGE_BYTES else None

    def layout(self, message: Buffer, partition: Partition) -> Layout | None:
        """Return how messages like this one look: with one raw input, and without an id of their own."""
        found = _split(message)
        if found is None:
            return None
        head, request_id, raws = found
        plan = self._plans.get(partition, head)
        if plan is None or request_id or len(raws) != 1 or plan.entries[0][3] != len(raws[0]):
            return None
        size = len(message)
        start = size - len(raws[0])
        return Layout(bytes(message[:start]), size, ((start, size),))

    def encode(self, response: Response, request_id: str) -> list[Buffer]:
        """Write a ModelInferResponse as the parts of one message.

        Raises:
            GatewayError: as ``oip_proto.encode_response`` has it.
        """
        outputs = response.outputs
        if response.parameters:
            return [oip_proto.encode_response(response, request_id).SerializeToString()]
        key: tuple[Any, ...] = (response.model, response.version)
        has_parameters = False
        for tensor in outputs:
            key += (tensor.name, tensor.datatype, tensor.shape)
            if tensor.parameters:
                has_parameters = True
        head = None if has_parameters else self._heads.get(key)
        if head is None:
            head = _head(response)
            if not has_parameters:
                remember(self._heads, key, head)
        names, entries = head
        written = names
        if request_id:
            text = request_id.encode()
            written += _ID_OUT + varint(len(text)) + text
        written += entries
        parts: list[Buffer] = []
        for tensor in outputs:
            data = tensor.data
            written += _RAW_OUT + varint(len(data))
            parts += (written, data)
            written = b""
        return parts or [written]


def reference(message: Buffer) -> Inference:
    """Read a ModelInferRequest by protobuf.

    Raises:
        GatewayError: as ``oip_proto.decode_request`` has it.
    """
    check_fields(message)
    parsed = oip_proto.parse(messages.ModelInferRequest, bytes(message))
    return oip_proto.decode_request(parsed)


def _plan(head: bytes, raws: list[memoryview]) -> tuple[_Plan, tuple[Tensor, ...]] | None:
    """Read a new head, and the inputs behind it; None when the reference must see the whole message."""
    check_fields(head)
    try:
        message = messages.ModelInferRequest.FromString(head)
    except DecodeError:
        return None
    if len(message.inputs) != len(raws) or any(entry.HasField("contents") for entry in message.inputs):
        return None
    # A head may be well-formed and still wrong, so the reference reads it first, with what follows.
    inference = oip_proto.decode_request(message, raws)
    plan = _Plan(
        inference.model,
        inference.version,
        tuple(
            (
                tensor.name,
                tensor.datatype,
                tensor.shape,
                -1 if tensor.datatype == BYTES else len(tensor.data),
                tensor.parameters,
            )
            for tensor in inference.inputs
        ),
        inference.outputs,
        inference.output_format,
        inference.parameters,
        inference.timeout_s,
        inference.marks_final,
    )
    return plan, inference.inputs


def _split(  # noqa: C901, PLR0911, PLR0912 - one pass over bytes, where a call costs more than a field
    message: Buffer,
) -> tuple[bytes, str, list[memoryview]] | None:
    """Cut a message into its head without the id, the id, and the raw contents; None for an uncommon one."""
    view = memoryview(message)
    end, position, head_end = len(view), 0, -1
    request_id, id_start, id_stop = "", 0, 0
    raws: list[memoryview] = []
    for _ in range(_MOST):
        if position >= end:
            break
        tag = view[position]
        start = position
        if tag not in _KNOWN or (raws and tag != _RAW):
            return None
        size, shift = 0, 0
        while True:
            position += 1
            if position >= end or shift > 28:
                return None
            octet = view[position]
            size |= (octet & 0x7F) << shift
            if octet < 0x80:
                break
            shift += 7
        stop = position + 1 + size
        if stop > end:
            return None
        if tag == _RAW:
            if head_end < 0:
                head_end = start
            raws.append(view[position + 1 : stop])
        elif tag == _ID:
            if id_stop or size > _MAX_ID:
                return None
            id_start, id_stop = start, stop
            try:
                request_id = str(view[position + 1 : stop], "utf-8")
            except UnicodeDecodeError:
                return None
        position = stop
    if position < end or not 0 <= head_end <= MAX_PARSED_BYTES:
        return None
    head = bytes(view[:head_end])
    return (head[:id_start] + head[id_stop:] if id_stop else head), request_id, raws


def _inputs(plan: _Plan, raws: list[memoryview]) -> tuple[Tensor, ...] | None:
    """Put new elements into the known inputs; None when they do not fit."""
    if len(raws) != len(plan.entries):
        return None
    inputs = []
    for (name, datatype, shape, size, parameters), raw in zip(plan.entries, raws, strict=True):
        tensor = Tensor(name, datatype, shape, raw, parameters)
        if size < 0:
            check_size(tensor)
        elif size != len(raw):
            return None
        inputs.append(tensor)
    return tuple(inputs)


def _head(response: Response) -> tuple[bytes, bytes]:
    names = messages.ModelInferResponse(model_name=response.model, model_version=response.version)
    entries = messages.ModelInferResponse()
    for tensor in response.outputs:
        oip_proto.add_entry(entries.outputs, tensor)
    return names.SerializeToString(), entries.SerializeToString()
