"""A sample of inputs: read from a file, checked against what a model takes, cut into feeds.

A ``.npy`` holds the array of a model with one input, a ``.npz`` one array per input under the input's name.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from gateway.core.catalog import TensorSpec
from gateway.core.tensor import BYTES, DATATYPES, Array

Sample = Array | Mapping[str, Array]
"""Rows for the only input, or arrays by the names of the inputs."""

_MOST_ROWS: Final = 256
_MOST_BYTES: Final = 8 << 20
"""Of input in one feed: activations are many times larger, and calibration looks at all of them."""

_NAMES: Final = {dtype: name for name, dtype in DATATYPES.items()}


def read_sample(file: Path) -> Sample:
    """Read a ``.npy`` or ``.npz`` file.

    Raises:
        ValueError: when it is neither, or holds Python objects.
        OSError: when it cannot be opened.
    """
    try:
        # numpy leaves a file open whose archive is broken.
        with file.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                return {name: loaded[name] for name in loaded.files}
    except OSError:
        raise
    except (ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{file}: cannot be read as a .npy array or a .npz of arrays without Python objects; "
            "numpy.save and numpy.savez make them"
        ) from error
    rows: Array = loaded
    return rows


class _Column(msgspec.Struct, frozen=True):
    """One input's array, and how it becomes feeds.

    Sliced along its first dimension, ``step`` rows at a time (0: any number); indexed, one entry a feed; or
    whole in every feed.
    """

    spec: TensorSpec
    array: Array
    how: Literal["sliced", "indexed", "whole"]
    step: int = 1


class Feeds:
    """What a model is run on, feed by feed; iterating again starts again.

    Args:
        sample: the arrays.
        inputs: what the model takes.

    Raises:
        ValueError: the sample does not fit, in a sentence that says what is there and what is wanted.
    """

    def __init__(self, sample: Sample, inputs: Sequence[TensorSpec]) -> None:
        columns = [_column(spec, array) for spec, array in _paired(sample, inputs)]
        step = _common_step(columns)
        self._columns = [msgspec.structs.replace(c, step=step) if c.step == 0 else c for c in columns]
        self._count = _counted(self._columns)
        self.rows, self.left_over = _rows(self._columns, self._count)

    def __repr__(self) -> str:
        names = ", ".join(column.spec.name for column in self._columns)
        return f"<Feeds {names}: {self.rows} rows in {self._count} feeds>"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Array]]:
        """Yield each feed; texts are ``bytes`` objects, as the gateway has them."""
        for index in range(self._count):
            yield {column.spec.name: _part(column, index) for column in self._columns}


def _paired(sample: Sample, inputs: Sequence[TensorSpec]) -> list[tuple[TensorSpec, Array]]:
    names = ", ".join(spec.name for spec in inputs)
    if not inputs:
        raise ValueError("the model takes no input: there is nothing to measure")
    if not isinstance(sample, Mapping):
        if len(inputs) != 1:
            raise ValueError(
                f"the model takes {names}, but the sample is one array: numpy.savez with these "
                "names makes a .npz"
            )
        return [(inputs[0], sample)]
    missing = [spec.name for spec in inputs if spec.name not in sample]
    unknown = [name for name in sample if name not in {spec.name for spec in inputs}]
    if missing or unknown:
        raise ValueError(
            f"the model takes {names}, but the sample holds {', '.join(sample) or 'nothing'}: "
            "name its arrays as the model's inputs"
        )
    return [(spec, sample[spec.name]) for spec in inputs]


def _column(spec: TensorSpec, array: Array) -> _Column:
    datatype = BYTES if array.dtype.kind in "SUO" else _NAMES.get(array.dtype.newbyteorder("<"), "")
    if datatype != spec.datatype:
        raise ValueError(f"{_unlike(spec, array, datatype)}{_conversion(spec)}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"the sample of input '{spec.name}' holds NaN: no range can be measured on it")
    rank = len(spec.shape)
    if array.shape == spec.shape:
        return _Column(spec, array, "whole")
    if rank and array.ndim == rank and _fits(spec.shape[1:], array.shape[1:]):
        return _Column(spec, array, "sliced", max(spec.shape[0], 0))
    if array.ndim == rank + 1 and _fits(spec.shape, array.shape[1:]):
        return _Column(spec, array, "indexed")
    raise ValueError(_unlike(spec, array, datatype))


def _fits(wanted: Sequence[int], got: Sequence[int]) -> bool:
    return all(want in {-1, size} for want, size in zip(wanted, got, strict=True))


def _unlike(spec: TensorSpec, array: Array, datatype: str) -> str:
    return (
        f"the sample is {datatype or array.dtype} {list(array.shape)}, but the model's input '{spec.name}' "
        f"is {spec.datatype} {list(spec.shape)}"
    )


def _conversion(spec: TensorSpec) -> str:
    wanted = DATATYPES.get(spec.datatype)
    return f"; numpy's array.astype('{wanted.name}') makes it so" if wanted is not None else ""


def _common_step(columns: Sequence[_Column]) -> int:
    """Return how many rows a feed has where the model leaves it open."""
    fixed = {c.step for c in columns if c.how == "sliced" and c.step} | {
        1 for c in columns if c.how == "indexed"
    }
    if fixed:
        return fixed.pop() if len(fixed) == 1 else 1
    row = sum(c.array.nbytes // max(len(c.array), 1) for c in columns if c.how == "sliced")
    return max(1, min(_MOST_ROWS, _MOST_BYTES // max(row, 1)))


def _counted(columns: Sequence[_Column]) -> int:
    """Return how many feeds there are."""
    varying = [column for column in columns if column.how != "whole"]
    counts = {_count(column) for column in varying} or {1}
    free = {len(column.array) for column in varying if column.spec.shape[:1] == (-1,)}
    if len(counts) > 1 or len(free) > 1:
        lengths = ", ".join(f"{column.spec.name} {len(column.array)}" for column in varying)
        raise ValueError(
            f"the sample's arrays differ in length ({lengths}): each input needs as many rows as the others, "
            "or all arrays one more dimension in front, with the whole input of one run in each entry"
        )
    (count,) = counts
    if not count:
        raise ValueError(_too_few(varying))
    return count


def _rows(columns: Sequence[_Column], count: int) -> tuple[int, int]:
    """Return how many rows are used, and how many are left over."""
    sliced = next((column for column in columns if column.how == "sliced"), None)
    if sliced is not None:
        rows = min(len(sliced.array), count * sliced.step)
        return rows, len(sliced.array) - rows
    shape = columns[0].spec.shape
    return (shape[0] if columns[0].how == "whole" and len(shape) > 1 else count), 0


def _count(column: _Column) -> int:
    length = len(column.array)
    if column.how == "sliced" and column.spec.shape[0] == -1:
        return -(-length // column.step)
    return length // column.step


def _too_few(columns: Sequence[_Column]) -> str:
    for column in columns:
        if column.how == "sliced" and len(column.array):
            return f"the model takes {column.step} rows at once, but the sample has only {len(column.array)}"
    return "the sample has no calibration rows: the ranges of activations cannot be measured"


def _part(column: _Column, index: int) -> Array:
    if column.how == "whole":
        part = column.array
    elif column.how == "indexed":
        part = column.array[index]
    else:
        part = column.array[index * column.step : (index + 1) * column.step]
    if column.spec.datatype != BYTES:
        return np.ascontiguousarray(part, part.dtype.newbyteorder("=")).reshape(np.shape(part))
    texts = np.empty(np.shape(part), object)
    texts.ravel()[:] = [item.encode() if isinstance(item, str) else bytes(item) for item in np.ravel(part)]
    return texts
