"""For which inputs a certificate was measured: their shapes, and the values of those that never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from gateway.core.catalog import TensorSpec
from gateway.core.request import Request
from gateway.core.tensor import Buffer, Tensor

ROWS: Final = -1
"""The dimension along which requests are batchable: any number of rows was measured."""


MOST: Final = (1 << 63) - 1
"""The largest dimension that a model can have."""


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the sample had of one input.

    ``shape``: of one run; its first dimension is ``ROWS`` where both models join requests. ``digest``: of the
    bytes, where every run (``ROWS``: every row) had the same value; empty where they had values of their own.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    shape: tuple[Annotated[int, msgspec.Meta(ge=ROWS, le=MOST)], ...]
    digest: Annotated[str, msgspec.Meta(pattern="^(sha256:[0-9a-f]{64})?$")]


def value_digest(data: Buffer) -> str:
    """Return ``sha256:<hex>`` of a tensor's bytes on the wire."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def are_of(inputs: Sequence[Input], specs: Sequence[TensorSpec], *, batchable: bool) -> bool:
    """Whether a model takes these inputs, and these alone; ``batchable``: requests may share a run."""
    known = {given.name: given.shape for given in inputs}
    return len(known) == len(inputs) == len(specs) and all(
        spec.name in known and _takes(spec.shape, known[spec.name], batchable=batchable) for spec in specs
    )


class Seen:
    """Finds out whether a request is like those that were measured.

    It checks only what the model leaves open: a request that the model would not take passes, to be refused
    by the model. It is false when there is nothing to check.
    """

    def __init__(self, inputs: Sequence[Input], specs: Sequence[TensorSpec]) -> None:
        free = {spec.name: spec.shape for spec in specs}
        self._checked = {
            given.name: given
            for given in inputs
            if given.digest
            or any(want == -1 != size for want, size in zip(free[given.name], given.shape, strict=True))
        }

    def __repr__(self) -> str:
        return f"<Seen {list(self._checked.values())}>"

    def __bool__(self) -> bool:
        return bool(self._checked)

    def fits(self, request: Request) -> bool:
        """Whether the inputs have the shapes, and the constants the values, of the sample."""
        for tensor in request.inputs:
            seen = self._checked.get(tensor.name)
            if seen is None or len(tensor.shape) != len(seen.shape):
                continue
            if any(size not in {ROWS, got} for size, got in zip(seen.shape, tensor.shape, strict=True)):
                return False
            if seen.digest and not _is_same(tensor, seen):
                return False
        return True


def _is_same(tensor: Tensor, seen: Input) -> bool:
    if not seen.shape or seen.shape[0] != ROWS:
        return value_digest(tensor.data) == seen.digest
    # The rows are equal parts of the data, also where the elements are texts of any length.
    rows, data = tensor.shape[0], bytes(tensor.data)
    one = data[: len(data) // rows] if rows > 0 else b""
    return value_digest(one) == seen.digest and one * rows == data


def _takes(wanted: Sequence[int], shape: Sequence[int], *, batchable: bool) -> bool:
    if len(wanted) != len(shape):
        return False
    return all(
        want == -1 and batchable and not place if size == ROWS else want in {-1, size}
        for place, (want, size) in enumerate(zip(wanted, shape, strict=True))
    )
