"""Whether two answers to one request say the same; pure functions.

The first is the one that counts, the second is compared with it. They are compared as they came: nothing is
kept of it in the tensors, which caches may hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, Literal

import msgspec
import numpy as np

from gateway.core.classes import is_classified
from gateway.core.errors import printable
from gateway.core.request import Response
from gateway.core.tensor import BF16, BYTES, DATATYPES, Array, Tensor, split_bytes

_CHUNK: Final = 1 << 16
"""Elements that are compared at once: comparing takes several times their memory."""

Kind = Literal["outputs", "datatype", "shape", "values", "top1"]


class Tolerance(msgspec.Struct, frozen=True):
    """What two answers may differ in.

    Numbers with a fraction may differ by ``atol + rtol · |first|``; NaN is equal to NaN. Of the outputs
    ``top1`` only the place of the highest element of each row must be the same; those in ``ignore`` are not
    compared.
    """

    rtol: float = 0.0
    atol: float = 0.0
    top1: Collection[str] = ()
    ignore: Collection[str] = ()


class Difference(msgspec.Struct, frozen=True):
    """The first output in which two answers differ, and in what.

    ``kind``: it is in one answer alone, or differs in its datatype, its shape, its values, or with ``top1``
    in the places of the highest. ``different`` of ``elements``, or of so many rows, are not the same.
    """

    output: str
    kind: Kind
    different: int = 0
    elements: int = 0

    def __str__(self) -> str:
        output = f"output '{printable(self.output)}'"
        if self.kind == "outputs":
            return f"{output} is in one answer alone"
        if self.kind == "values":
            return f"{output} differs in {self.different} of {self.elements} values"
        if self.kind == "top1":
            return f"{output} has another highest element in {self.different} of {self.elements} rows"
        return f"{output} has another {self.kind}"


def difference(first: Response, second: Response, tolerance: Tolerance) -> Difference | None:
    """Return how the second answer differs from the first; None: it says the same.

    Raises:
        GatewayError: INVALID for BYTES that are not well-formed, which codecs let nobody send.
    """
    others = {tensor.name: tensor for tensor in second.outputs if tensor.name not in tolerance.ignore}
    for tensor in first.outputs:
        if tensor.name in tolerance.ignore:
            continue
        other = others.pop(tensor.name, None)
        if other is None:
            return Difference(tensor.name, "outputs")
        if tensor.datatype != other.datatype:
            return Difference(tensor.name, "datatype")
        if tensor.shape != other.shape:
            return Difference(tensor.name, "shape")
        different, elements = _compared(tensor, other, tolerance)
        if different:
            kind: Kind = "top1" if _has_rows(tensor, tolerance) else "values"
            return Difference(tensor.name, kind, different, elements)
    return Difference(min(others), "outputs") if others else None


def _compared(first: Tensor, second: Tensor, tolerance: Tolerance) -> tuple[int, int]:
    """Return how many elements, or rows, are not the same, and how many there are."""
    if first.datatype == BYTES:
        texts = zip(_elements(first), _elements(second), strict=True)
        equal = [one == other for one, other in texts]
        return equal.count(False), len(equal)
    if _has_rows(first, tolerance):
        rows = [_numbers(tensor).reshape(-1, tensor.shape[-1]) for tensor in (first, second)]
        highest, others = ([each.argmax(axis=1) for each in _parts(part, first.shape[-1])] for part in rows)
        pairs = zip(highest, others, strict=True)
        return sum(int(np.count_nonzero(one != other)) for one, other in pairs), len(rows[0])
    ours, theirs = _numbers(first), _numbers(second)
    pairs = zip(_parts(ours), _parts(theirs), strict=True)
    return sum(_different(one, other, tolerance) for one, other in pairs), len(ours)


def _has_rows(tensor: Tensor, tolerance: Tolerance) -> bool:
    """Whether only the highest element of each of its rows is compared."""
    return (
        tensor.name in tolerance.top1
        and tensor.datatype != BYTES
        and bool(tensor.shape)
        and tensor.shape[-1] > 0
    )


def _different(first: Array, second: Array, tolerance: Tolerance) -> int:
    if first.dtype.kind != "f":
        return int(np.count_nonzero(first != second))
    with np.errstate(all="ignore"):
        # In double precision, where the largest of half precision are finite still.
        near = np.isclose(
            second.astype(np.float64),
            first.astype(np.float64),
            rtol=tolerance.rtol,
            atol=tolerance.atol,
            equal_nan=True,
        )
    return len(first) - int(np.count_nonzero(near))


def _parts(array: Array, width: int = 1) -> Iterator[Array]:
    """Yield it in parts that have about ``_CHUNK`` elements each; a row has ``width``."""
    step = max(1, _CHUNK // width)
    for begin in range(0, len(array), step):
        yield array[begin : begin + step]


def _numbers(tensor: Tensor) -> Array:
    """Return the elements in one row."""
    if tensor.datatype == BF16:
        # The upper half of single precision.
        return (np.frombuffer(tensor.data, "<u2").astype("<u4") << np.uint32(16)).view("<f4")
    return np.frombuffer(tensor.data, DATATYPES[tensor.datatype])


def _elements(tensor: Tensor) -> list[bytes]:
    elements = split_bytes(tensor.data)
    if not is_classified(tensor):
        return elements
    # VALUE:INDEX:LABEL. Which classes they are is what is compared; their values are written out in full.
    return [element.partition(b":")[2] for element in elements]
