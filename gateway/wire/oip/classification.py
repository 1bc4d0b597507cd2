"""The classification extension: the highest elements of an output as text, ``value:index``.

It is a matter of rendering: models see the plain output. Caches keep it apart all the same, because it
decides who may answer (``Request.classes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Parameter, Response
from gateway.core.tensor import BYTES, Array, Tensor

CLASSIFICATION: Final = "classification"
_MAX_CLASSES: Final = 1 << 16


def class_count(output: str, value: Parameter) -> int:
    """Check the parameter ``classification`` of an output; 0 means that none are wanted.

    Raises:
        GatewayError: INVALID unless it is a whole number from 0 to 65,536.
    """
    # bool is an int in Python, and is no count.
    if type(value) is not int or not 0 <= value <= _MAX_CLASSES:
        raise GatewayError(
            Fault.INVALID,
            f"parameter '{CLASSIFICATION}' of output '{output}' must be a whole number up to {_MAX_CLASSES}",
        )
    return value


def classify(response: Response, classes: Mapping[str, int]) -> Response:
    """Replace each output named in ``classes`` by its highest elements.

    Raises:
        GatewayError: INVALID for an output without numbers.
    """
    return replace(
        response,
        outputs=tuple(
            _classes(tensor, classes[tensor.name]) if classes.get(tensor.name) else tensor
            for tensor in response.outputs
        ),
    )


def _classes(tensor: Tensor, count: int) -> Tensor:
    if tensor.datatype == BYTES:
        raise GatewayError(Fault.INVALID, f"output '{tensor.name}' holds no numbers to classify by")
    array = tensor.numpy()
    # Of two dimensions or more the first is the batch, and each of its rows is classified by itself.
    rows = array.reshape(len(array), -1) if array.ndim > 1 and array.size else array.reshape(1, -1)
    count = min(count, rows.shape[1])
    texts = np.array([text for row in rows for text in _highest(row, count)], dtype=object)
    shape = (len(rows), count) if array.ndim > 1 else (count,)
    named = Tensor.from_numpy(tensor.name, texts)
    return Tensor(tensor.name, BYTES, shape, named.data)


def _highest(row: Array, count: int) -> list[str]:
    # Stable on the reversed sign, so that of equal elements the first comes first; NaN is the lowest.
    values = row.astype(np.float64) if row.dtype.kind == "f" else row.astype(np.int64)
    keys = np.nan_to_num(-values, nan=np.inf) if row.dtype.kind == "f" else -values
    best = np.argsort(keys, kind="stable")[:count]
    written = "{:f}:{}" if row.dtype.kind == "f" else "{}:{}"
    return [written.format(values[index], index) for index in best.tolist()]
