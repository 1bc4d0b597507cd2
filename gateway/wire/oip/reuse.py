"""The protocol's JSON heads, decoded and written once where they repeat.

A client of one model sends the same head before ever new binary data: names, datatypes, shapes, sizes,
output formats. What such a head means is remembered by its bytes. Only a well-formed request takes this way;
any other goes to ``decode_request``, which is the reference and says what is wrong.

A body that is all JSON holds its data in the head. A request whose answer is in the cache is often sent again
in the same bytes, and reading 784 floats costs ten times as much as finding the answer: such bodies are
remembered whole, within a few megabytes.

Whatever is remembered is a ``Lesson``, which is learned when the request has been answered, and only its own
tenant and residency class profit (``gateway.core.partitions``). A body is learned when its answer was in this
region's memory: what the cache may not keep, this does not keep either.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.core.partitions import OWN_BYTES, Lesson, Partition, PartitionedMemory
from gateway.core.request import NO_PARAMETERS, Parameter, Response
from gateway.core.tensor import BYTES, Buffer, Tensor
from gateway.wire.oip.inference import BINARY_OUTPUTS, Inference, OutputFormat
from gateway.wire.oip.json import BINARY_SIZE, Body, decode_request, encode_response
from gateway.wire.oip.json_nan import JsonNan
from gateway.wire.oip.messages import ResponseOut, TensorOut

MAX_REMEMBERED: Final = 1024
MAX_HEAD_BYTES: Final = 4096
MAX_BODY_BYTES: Final = 64 << 10

PLANS_BYTES: Final = 1 << 20
MAX_PLANS_BYTES: Final = 4 << 20
"""Of all heads that are remembered: of one partition, and of all."""

BODIES_BYTES: Final = 4 << 20
MAX_BODIES_BYTES: Final = 16 << 20
"""Of all bodies together that are remembered whole, and of their tensors: of one partition, and of all."""

_PLAN_FACTOR: Final = 4
"""How much more than its bytes a head takes when it is read: each of its texts by itself."""

_ENCODE: Final = msgspec.json.Encoder().encode
Span = tuple[str, str, tuple[int, ...], int, int, Mapping[str, Parameter]]


class Layout(msgspec.Struct, frozen=True, gc=False):
    """How bodies look that differ in nothing but their data.

    They are of one ``size`` and begin with ``prefix``. The data of the inputs, in their order, stands in
    ``spans`` (begin, end) of the body; where all of the body is the prefix it is ``data``.
    """

    prefix: bytes
    size: int
    spans: tuple[tuple[int, int], ...]
    data: tuple[Buffer, ...] = ()


class _Plan(msgspec.Struct, frozen=True, gc=False):
    """What a head means.

    ``spans``: name, datatype, shape, where its bytes begin and end in the body, and parameters.
    """

    length: int
    spans: tuple[Span, ...]
    outputs: tuple[str, ...]
    output_format: OutputFormat
    parameters: Mapping[str, Parameter]
    timeout_s: float


class _Body(msgspec.Struct, frozen=True, gc=False):
    """What a body means that is all JSON."""

    inference: Inference
    layout: Layout


class RequestJsonCache:
    """Reads bodies of infer requests, with what was learned of heads of at most 4 KiB and of small bodies."""

    def __init__(self) -> None:
        self._plans = PartitionedMemory[bytes, _Plan](PLANS_BYTES, MAX_PLANS_BYTES)
        self._bodies = PartitionedMemory[bytes, _Body](BODIES_BYTES, MAX_BODIES_BYTES)

    def __repr__(self) -> str:
        return f"<RequestJsonCache {len(self._plans)} heads, {len(self._bodies)} bodies>"

    def decode(
        self, body: Buffer, header_length: int | None, partition: Partition | None = None, model: str = ""
    ) -> Inference:
        """Read a body, as ``decode_request`` does; nothing is known or learned without a ``partition``.

        Raises:
            GatewayError: as ``decode_request`` does.
        """
        if partition is None:
            return decode_request(body, header_length, model=model)
        if header_length is None:
            return self._whole(body, partition)
        if header_length > MAX_HEAD_BYTES:
            return decode_request(body, header_length, model=model)
        head = bytes(body[:header_length])
        plan = self._plans.get(partition, head)
        if plan is None or plan.length != len(body):
            inference = decode_request(body, header_length, model=model)
            lesson = self._plan(partition, head, inference, len(body))
            return inference if lesson is None else replace(inference, lesson=lesson)
        view = memoryview(body)
        return Inference(
            "",
            tuple(
                [
                    Tensor(name, datatype, shape, view[start:stop], parameters)
                    for name, datatype, shape, start, stop, parameters in plan.spans
                ]
            ),
            plan.outputs,
            plan.output_format,
            plan.parameters,
            plan.timeout_s,
        )

    def layout(self, body: Buffer, header_length: int | None, partition: Partition) -> Layout | None:
        """Return how bodies like this one look, if what they have in common is remembered."""
        if header_length is None:
            known = self._bodies.get(partition, bytes(body)) if len(body) <= MAX_BODY_BYTES else None
            return None if known is None else known.layout
        if header_length > MAX_HEAD_BYTES:
            return None
        head = bytes(body[:header_length])
        plan = self._plans.get(partition, head)
        if plan is None or plan.length != len(body):
            return None
        return Layout(head, plan.length, tuple([(start, stop) for _, _, _, start, stop, _ in plan.spans]))

    def _whole(self, body: Buffer, partition: Partition) -> Inference:
        if len(body) > MAX_BODY_BYTES:
            return decode_request(body, None)
        body = bytes(body)
        known = self._bodies.get(partition, body)
        if known is not None:
            return known.inference
        inference = decode_request(body, None)
        # A request's own id is seldom seen twice.
        if inference.id:
            return inference
        if inference.parameters:
            inference = replace(inference, parameters=MappingProxyType(dict(inference.parameters)))
        data = tuple([tensor.data for tensor in inference.inputs])
        cost = OWN_BYTES + len(body) + sum(map(len, data))
        kept = _Body(inference, Layout(body, len(body), (), data))
        lesson = Lesson(self._bodies, partition, body, kept, cost, is_whole=True)
        return replace(inference, lesson=lesson)

    def _plan(self, partition: Partition, head: bytes, inference: Inference, length: int) -> Lesson | None:
        # A request's own id is seldom seen twice; elements of BYTES are checked in every body anew.
        if inference.id or any(
            tensor.datatype == BYTES or not isinstance(tensor.data, memoryview) for tensor in inference.inputs
        ):
            return None
        spans, start = [], len(head)
        for tensor in inference.inputs:
            stop = start + len(tensor.data)
            spans.append((tensor.name, tensor.datatype, tensor.shape, start, stop, tensor.parameters))
            start = stop
        parameters = inference.parameters
        plan = _Plan(
            length,
            tuple(spans),
            inference.outputs,
            inference.output_format,
            MappingProxyType(dict(parameters)) if parameters else NO_PARAMETERS,
            inference.timeout_s,
        )
        return Lesson(self._plans, partition, head, plan, plan_cost(head))


class ResponseJsonCache:
    """Writes answers, remembering at most 1,024 heads: what an output is, not what it holds."""

    def __init__(self, nan: JsonNan = "literal") -> None:
        self._nan: JsonNan = nan
        self._heads: dict[tuple[Any, ...], bytes] = {}

    def __repr__(self) -> str:
        return f"<ResponseJsonCache {len(self._heads)} of {MAX_REMEMBERED}>"

    def encode(self, response: Response, output_format: OutputFormat, request_id: str) -> Body:
        """Write an answer, as ``encode_response`` does.

        Raises:
            GatewayError: as ``encode_response`` does.
        """
        outputs = response.outputs
        if not outputs or response.parameters:
            return encode_response(response, output_format, request_id, self._nan)
        if output_format is not BINARY_OUTPUTS:
            for tensor in outputs:
                if not output_format.writes_binary(tensor.name):
                    return encode_response(response, output_format, request_id, self._nan)
        key: tuple[Any, ...] = (response.model, response.version)
        parts: list[Any] = [b""]
        for tensor in outputs:
            if tensor.parameters:
                return encode_response(response, output_format, request_id, self._nan)
            data = tensor.data
            key += (tensor.name, tensor.datatype, tensor.shape, len(data))
            parts.append(data)
        head = self._heads.get(key)
        if head is None:
            head = _head(response)
            remember(self._heads, key, head)
        # The id comes last in what msgspec writes, so that all before it can be shared.
        parts[0] = b'%b,"id":%b}' % (head, _ENCODE(request_id)) if request_id else head + b"}"
        return Body(parts, len(parts[0]))


def plan_cost(head: bytes) -> int:
    """Return the bytes that it takes to remember what a head means."""
    return OWN_BYTES + _PLAN_FACTOR * len(head)


def remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep ``value``, in the place of the one that is there longest when the memory is full."""
    if len(memory) >= MAX_REMEMBERED:
        del memory[next(iter(memory))]
    memory[key] = value


def _head(response: Response) -> bytes:
    outputs = [
        TensorOut(tensor.name, tensor.datatype, tensor.shape, {BINARY_SIZE: len(tensor.data)})
        for tensor in response.outputs
    ]
    return _ENCODE(ResponseOut(response.model, response.version, outputs))[:-1]
