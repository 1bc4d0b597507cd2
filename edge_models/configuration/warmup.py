"""`model_warmup`: requests that are run before a model is ready, so that no client waits for its first runs.

As in Triton the ``dims`` of an input are without the batch dimension, a file holds one row, each row of a
batch has the same values, and a sample with a ``batch_size`` of 0 is skipped. That a warm-up fails means that
requests like it would fail: the model is not loaded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotEndedError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from edge_models.configuration.model_configuration import ModelConfiguration, WarmupInput, WarmupRequest
from edge_models.errors import ModelError
from edge_models.files import FileError, read_within
from edge_models.threads import run_apart
from gateway.core.errors import GatewayError, printable
from gateway.core.tensor import BYTES, DATATYPES, MAX_BYTES_ELEMENTS, Tensor

FOLDER: Final = "warmup"
MOST_RUNS: Final = 10_000
_MOST_RANK: Final = 32
_GRACE_S: Final = 10.0
"""Seconds that a stopped run has to end."""


@dataclass(frozen=True, slots=True, eq=False)
class WarmupLimits:
    """``timeout_s``: of all samples together. ``max_bytes``: of the data of one."""

    timeout_s: float
    max_bytes: int


Run = Callable[[tuple[Tensor, ...]], object]


def warm_up(
    config: ModelConfiguration,
    folder: Path,
    run: Run,
    stop: Callable[[], None],
    limits: WarmupLimits,
) -> None:
    """Run what the configuration of a model's ``folder`` orders.

    Args:
        config: what is ordered.
        folder: with `config.pbtxt`, and perhaps a folder `warmup`.
        run: answers a request with these inputs as it will answer a client's.
        stop: ends a run that goes on.
        limits: what all of it may take.

    Raises:
        ModelError: naming the sample and its line.
    """
    if not config.model_warmup:
        return
    samples = [
        (sample, _named(config, place, sample), _tensors(config, place, sample, folder, limits))
        for place, sample in enumerate(config.model_warmup)
        if sample.batch_size or not config.max_batch_size
    ]
    ended = threading.Event()
    work = run_apart("warmup", partial(_run_all, samples, run, ended))
    try:
        error = work.result(limits.timeout_s)
    except NotEndedError:
        ended.set()
        stop()
        with suppress(NotEndedError):
            work.result(_GRACE_S)
        where = config.where("model_warmup")
        raise ModelError(f"{where}: the warm-up has not ended in {limits.timeout_s:g} s") from None
    if error is not None:
        raise error


def _run_all(
    samples: list[tuple[WarmupRequest, str, tuple[Tensor, ...]]], run: Run, ended: threading.Event
) -> ModelError | None:
    for sample, named, tensors in samples:
        for _ in range(sample.count):
            if ended.is_set():
                return None
            try:
                run(tensors)
            except GatewayError as error:
                return ModelError(f"{named}: {error.message}")
    return None


def _named(config: ModelConfiguration, place: int, sample: WarmupRequest) -> str:
    return f"{config.where(('model_warmup', place))}: warm-up '{sample.name}'"


def _tensors(
    config: ModelConfiguration, place: int, sample: WarmupRequest, folder: Path, limits: WarmupLimits
) -> tuple[Tensor, ...]:
    """Return the inputs of a sample.

    Raises:
        ModelError: it is not a request that this model could be sent.
    """
    named = _named(config, place, sample)
    if sample.batch_size > max(1, config.max_batch_size):
        raise ModelError(f"{named}: batch_size must be at most {max(1, config.max_batch_size)}")
    if sample.count > MOST_RUNS:
        raise ModelError(f"{named}: count must be at most {MOST_RUNS:,}")
    lead = (sample.batch_size,) if config.max_batch_size else ()
    left = limits.max_bytes
    tensors = []
    for name, given in sample.inputs.items():
        try:
            tensor = _tensor(name, given, lead, folder, left)
        except (FileError, GatewayError) as error:
            raise ModelError(f"{named}: input '{name}': {error}") from error
        except OSError as error:
            file = f"{FOLDER}/{printable(given.data_file)}"
            raise ModelError(f"{named}: input '{name}': {file} cannot be read: {error.strerror}") from error
        left -= len(tensor.data)
        tensors.append(tensor)
    return tuple(tensors)


def _tensor(name: str, given: WarmupInput, lead: tuple[int, ...], folder: Path, most: int) -> Tensor:
    size = _size(given, lead, most)
    if given.source == "input_data_file":
        row = read_within(folder, folder / FOLDER / _inside(given.data_file), max_bytes=most)
        if len(row) * prod(lead) > most:
            raise FileError(f"has more than {most >> 20:,} MiB for all rows")
    else:
        row = _made(given, size)
    tensor = Tensor(name, given.datatype, (*lead, *given.dims), row * prod(lead))
    tensor.numpy()
    return tensor


def _size(given: WarmupInput, lead: tuple[int, ...], most: int) -> int:
    """Return the bytes of one row."""
    if any(size < 0 for size in given.dims):
        raise FileError("warm-up expects all variable-size dimensions to be specified")
    dtype = DATATYPES.get(given.datatype)
    if dtype is None and given.datatype != BYTES:
        raise FileError("must specify 'data_type', one of the protocol's")
    if len(given.dims) > _MOST_RANK:
        raise FileError(f"has more than {_MOST_RANK} dimensions")
    count = prod(given.dims)
    if dtype is None and count * prod(lead) > MAX_BYTES_ELEMENTS:
        raise FileError(f"has more than {MAX_BYTES_ELEMENTS:,} texts")
    size = count * (4 if dtype is None else dtype.itemsize)
    if size * prod(lead) > most:
        raise FileError(f"has more than {most >> 20:,} MiB (`max_mem_mib`)")
    return size


def _made(given: WarmupInput, size: int) -> bytes:
    """Return zeros, or random values; texts are always empty, as Triton's are."""
    if given.source == "zero_data" or given.datatype == BYTES:
        return bytes(size)
    dtype = DATATYPES[given.datatype]
    chance = np.random.default_rng(0)  # the same at each start
    count = size // dtype.itemsize
    if dtype.kind == "f":
        return chance.random(count).astype(dtype).tobytes()
    if dtype.kind == "b":
        return chance.integers(0, 2, count).astype(dtype).tobytes()
    return chance.integers(0, 128, count).astype(dtype).tobytes()


def _inside(file: str) -> str:
    if "\0" in file or Path(file).is_absolute() or ".." in Path(file).parts:
        raise FileError("must name a file in the folder 'warmup'")
    return file
