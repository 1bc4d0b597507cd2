"""The sample that a pair of models is certified on: read from a file, fitted to the inputs, cut into runs."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edge_models.inputs import Input, value_digest
from gateway.core.catalog import TensorSpec
from gateway.core.tensor import BYTES, Array, Tensor

UNNAMED: Final = ""
"""The name of the one array of a .npy file, which is for a model of one input."""

_DAMAGED: Final = (OSError, ValueError, EOFError, OverflowError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What numpy and its readers of archives raise where bytes are not what they should be."""

_NUMPYS_OWN: Final = "arr_0"
"""What numpy.savez calls an array that nobody has named."""


def load_sample(file: Path) -> dict[str, Array]:
    """Read a sample: a .npz of arrays named as the model's inputs, or a .npy for a model of one.

    Raises:
        ValueError: it cannot be used; the message says how to make one that can.
    """
    try:
        # Opened here: where it turns out to be no archive after all, numpy forgets to close it.
        with file.open("rb") as opened:
            loaded = np.load(opened, allow_pickle=False)
            arrays = {UNNAMED: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
        if set(arrays) == {_NUMPYS_OWN}:
            arrays = {UNNAMED: arrays[_NUMPYS_OWN]}
    except FileNotFoundError as error:
        raise ValueError(f"{file}: there is no such file") from error
    except MemoryError as error:
        raise ValueError(f"{file}: says that it holds more than fits into memory") from error
    except _DAMAGED as error:
        hint = "; texts are arrays of dtype str, not of objects" if "pickle" in str(error).lower() else ""
        raise ValueError(
            f"{file}: cannot be read as a .npy array of numbers; numpy.save makes one, and numpy.savez a "
            f".npz of several{hint}"
        ) from error
    if not arrays or not any(array.ndim and len(array) for array in arrays.values()):
        raise ValueError(f"{file}: must hold one array of inputs [n, ...]; numpy.save makes it")
    return arrays


class Sample:
    """The rows of a sample, as one model takes them.

    An input without a free first dimension that has one value in the sample gets it in every run; all others
    have one row each in every row of the sample. ``fixed``: how many rows a run has; 0: as many as one likes.

    Raises:
        ValueError: the arrays are not the inputs; the message says which and why.
    """

    def __init__(self, arrays: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> None:
        named = _named(arrays, inputs)
        self.rows = max((len(array) for array in named.values() if array.ndim), default=0)
        self.fixed = 0
        self._constants: dict[str, Array] = {}
        self._rows: dict[str, Array] = {}
        for spec in inputs:
            array = named[spec.name]
            _check(array, spec)
            fixed = spec.shape[0] if spec.shape else 0
            is_constant = not spec.shape or (fixed == len(array) != self.rows)
            (self._constants if is_constant else self._rows)[spec.name] = _as_taken(array)
            if not is_constant and len(array) != self.rows:
                raise ValueError(
                    f"the sample has {len(array)} rows of '{spec.name}' and {self.rows} of another input"
                )
            if not is_constant and fixed > 0:
                self.fixed = fixed
        if not self.rows or (self.fixed and self.rows % self.fixed):
            raise ValueError(
                f"the sample has {self.rows} rows, but the model takes {self.fixed} in every run: "
                "give a multiple"
            )

    def __repr__(self) -> str:
        return f"<Sample of {self.rows} rows, {self.fixed or 'any number'} in a run>"

    def seen(self, rows: int) -> tuple[Input, ...]:
        """Return what each run of ``rows`` rows (``ROWS``: of any number) has of every input."""
        of_rows = [
            Input(name=name, shape=(rows, *array.shape[1:]), digest=_never_changed(array, max(1, rows)))
            for name, array in self._rows.items()
        ]
        constants = [
            Input(name=name, shape=array.shape, digest=_digest(array))
            for name, array in self._constants.items()
        ]
        return (*of_rows, *constants)

    def feeds(self, at_once: int) -> Iterator[tuple[int, dict[str, Array]]]:
        """Cut the sample into runs of ``at_once`` rows; yield how many rows, and the inputs."""
        for start in range(0, self.rows, at_once):
            rows = {name: array[start : start + at_once] for name, array in self._rows.items()}
            yield min(at_once, self.rows - start), rows | self._constants


def _never_changed(array: Array, rows: int) -> str:
    """Return the digest of ``rows`` rows, where the others are the same; empty where there are none."""
    runs = array.reshape(len(array) // rows, rows, *array.shape[1:])
    return _digest(array[:rows]) if len(runs) > 1 and bool((runs == runs[:1]).all()) else ""


def _digest(array: Array) -> str:
    return value_digest(Tensor.from_numpy("", array).data)


def _named(arrays: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Mapping[str, Array]:
    names = [spec.name for spec in inputs]
    if set(arrays) == {UNNAMED}:
        if len(names) != 1:
            example = ", ".join(
                f"{name}=…" if name.isidentifier() else f"**{{'{name}': …}}" for name in names
            )
            raise ValueError(
                f"the sample is one array, but the model takes {len(names)} inputs: "
                f"make a .npz with numpy.savez('sample.npz', {example})"
            )
        return {names[0]: arrays[UNNAMED]}
    if set(arrays) != set(names):
        raise ValueError(f"the sample holds {_list(arrays)}, but the model takes {_list(names)}")
    return arrays


def _check(array: Array, spec: TensorSpec) -> None:
    datatype = (
        BYTES
        if array.dtype.kind in "US"
        else Tensor.from_numpy(spec.name, array[:0] if array.ndim else array).datatype
    )
    fits = array.ndim == len(spec.shape) and all(
        want in {-1, size} for want, size in zip(spec.shape[1:], array.shape[1:], strict=True)
    )
    if datatype == spec.datatype and fits:
        return
    hint = ""
    if fits and datatype.startswith("FP") and spec.datatype.startswith("FP"):
        hint = f"; convert it: sample.astype(numpy.float{spec.datatype[2:]})"
    raise ValueError(
        f"the sample is {datatype} {list(array.shape)}, but the model's input '{spec.name}' is "
        f"{spec.datatype} {list(spec.shape)}{hint}"
    )


def _as_taken(array: Array) -> Array:
    """Return texts as the protocol carries them; numbers in the order of bytes that models run on."""
    if array.dtype.kind not in "US":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    texts = np.empty(array.size, np.object_)
    texts[:] = [item.encode() if isinstance(item, str) else bytes(item) for item in array.ravel().tolist()]
    return texts.reshape(array.shape)


def _list(names: Mapping[str, Array] | Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))
