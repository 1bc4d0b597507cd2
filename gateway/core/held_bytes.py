"""How much memory a request and its answer keep from being used again, for what keeps them on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from sys import getsizeof
from typing import Final

from gateway.core.request import Parameter, Request, Response
from gateway.core.tensor import Tensor

_REQUEST_BYTES: Final = 4096
"""Of the two, their caller and whatever is under way for them, beside what grows with what they say."""

_TENSOR_BYTES: Final = 512
_ENTRY_BYTES: Final = 100


def held_bytes(request: Request, response: Response) -> int:
    """Return it, for both together; what they share with others counts as theirs.

    A view keeps all of its buffer: a tensor of four bytes may be a part of a body of many megabytes.
    """
    tensors = (*request.inputs, *response.outputs)
    size = _REQUEST_BYTES + sum(dict(map(_buffer, tensors)).values())
    for each in tensors:
        size += _TENSOR_BYTES + getsizeof(each.name) + 40 * len(each.shape) + _parameters(each.parameters)
    for parameters in (request.parameters, response.parameters, *request.output_parameters.values()):
        size += _parameters(parameters)
    texts = (request.id, *request.outputs, *(text for pair in request.headers for text in pair))
    return size + sum(map(getsizeof, texts))


def _buffer(tensor: Tensor) -> tuple[int, int]:
    """Return which buffer its data are in, and the bytes of all of it."""
    data = tensor.data
    whole = data.obj if isinstance(data, memoryview) else data
    return id(whole), memoryview(whole).nbytes


def _parameters(parameters: Mapping[str, Parameter]) -> int:
    return sum([_ENTRY_BYTES + getsizeof(name) + getsizeof(value) for name, value in parameters.items()])
