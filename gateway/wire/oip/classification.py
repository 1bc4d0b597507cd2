"""The classification extension: the highest elements of an output as text, ``value:index[:label]``.

It is a matter of rendering: models see the plain output. Caches keep it apart all the same, because it
decides who may answer (``Request.classes``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace

from gateway.core.classes import CLASSIFICATION, is_classified, unmarked
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Parameter, Response
from gateway.core.tensor import BF16, BYTES, MAX_BYTES_ELEMENTS, Array, Tensor
from gateway.wire.oip.validation import tensor_parameters

_MAX_COUNT: Final = (1 << 32) - 1
_NO_NUMBERS: Final = frozenset({BYTES, BF16, "BOOL"})


class ClassRules(msgspec.Struct, frozen=True):
    """What is known of a model whose outputs are classified.

    ``batches``: whether the first dimension of its outputs is the batch; None where that is not known, and
    then it is if there is a second. ``labels``: output → the names of its classes, in their order.
    """

    batches: bool | None = None
    labels: Mapping[str, Sequence[str]] = {}


NO_RULES: Final = ClassRules()


def wanted_parameters(output: str, parameters: Mapping[str, object]) -> tuple[int, Mapping[str, Parameter]]:
    """Return how many classes are wanted of an output, 0 for none, and the parameters that go further.

    A value of None is absent.

    Raises:
        GatewayError: as ``tensor_parameters`` does; INVALID unless the classes are a whole number of 32 bits.
    """
    others = {name: value for name, value in parameters.items() if name != CLASSIFICATION}
    count = parameters.get(CLASSIFICATION)
    return 0 if count is None else _checked(output, count), tensor_parameters("output", output, others)


def _checked(output: str, value: object) -> int:
    # bool is an int in Python, and is no count.
    if type(value) is not int or not 0 <= value <= _MAX_COUNT:
        raise GatewayError(
            Fault.INVALID,
            f"parameter '{CLASSIFICATION}' of output '{output}' must be a whole number of 32 bits",
        )
    return value


def classify(response: Response, classes: Mapping[str, int], rules: ClassRules = NO_RULES) -> Response:
    """Replace each output named in ``classes`` by its highest elements, as many as there are.

    Each row of a batch is classified by itself, all other dimensions as one. What an endpoint has classified
    stays as it is.

    Raises:
        GatewayError: INVALID for an output without numbers, and for more classes than an answer can have.
    """
    return replace(
        response,
        outputs=tuple(
            _classes(tensor, classes[tensor.name], rules) if classes.get(tensor.name) else tensor
            for tensor in response.outputs
        ),
    )


def _classes(tensor: Tensor, count: int, rules: ClassRules) -> Tensor:
    if is_classified(tensor):
        return unmarked(tensor)
    if tensor.datatype in _NO_NUMBERS:
        raise GatewayError(
            Fault.INVALID,
            f"class result not available for output due to unsupported type '{tensor.datatype}'",
        )
    array = tensor.numpy()
    batches = array.ndim > 1 if rules.batches is None else rules.batches and array.ndim > 0
    rows = len(array) if batches else 1
    lines = array.reshape((rows, array.size // rows if rows else 0))
    count = min(count, lines.shape[1])
    if rows * count > MAX_BYTES_ELEMENTS:
        raise GatewayError(
            Fault.INVALID, f"output '{tensor.name}' has more than {MAX_BYTES_ELEMENTS} classes: ask for fewer"
        )
    labels = rules.labels.get(tensor.name, ())
    texts = np.array([text for line in lines for text in _highest(line, count, labels)], dtype=object)
    shape = (rows, count) if batches else (count,)
    named = Tensor.from_numpy(tensor.name, texts)
    return Tensor(tensor.name, BYTES, shape, named.data)


def _highest(line: Array, count: int, labels: Sequence[str]) -> list[str]:
    # Stable, so that of equal elements the first comes first; NaN is the lowest. The complement of an integer
    # falls as it rises, and none is too large for it.
    is_float = line.dtype.kind == "f"
    values = line.astype(np.float64) if is_float else line
    keys = np.nan_to_num(-values, nan=np.inf) if is_float else np.invert(values)
    written = "{:f}:{}" if is_float else "{}:{}"
    texts = []
    for index in np.argsort(keys, kind="stable")[:count].tolist():
        label = labels[index] if index < len(labels) else ""
        texts.append(written.format(values[index], index) + (f":{label}" if label else ""))
    return texts
