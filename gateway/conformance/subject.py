"""The model under test: found on the server, and fed with inputs made from its own description."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gateway.conformance.call import Call, model_path
from gateway.conformance.http_wire import HttpRequest, HttpWire, WireError
from gateway.conformance.tensors import DTYPES, RAW_ONLY, Array, SuiteTensor
from gateway.conformance.verdicts import Violation

FREE_SIZE: Final = 4
"""What a variable dimension that is not the batch is given."""


_MOST_ELEMENTS: Final = 1 << 22


class CannotTestError(Exception):
    """There is no server, or no model that can be tested; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class DeclaredTensor:
    """One input or output as the model's metadata have it; -1 is a variable dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, and how to make inputs for it."""

    name: str
    versions: tuple[str, ...]
    inputs: tuple[DeclaredTensor, ...]
    outputs: tuple[DeclaredTensor, ...]
    batch: int = 2
    seed: int = 1

    @property
    def is_batched(self) -> bool:
        """Whether every input's first dimension is variable, which means that the model takes batches."""
        return all(spec.shape[:1] == (-1,) for spec in self.inputs)

    def call(self, batch: int | None = None, seed: int | None = None) -> Call:
        """Return a correct request; equal arguments make equal inputs."""
        random = np.random.default_rng(self.seed if seed is None else seed)
        rows = self.batch if batch is None else batch
        raw = tuple(spec.name for spec in (*self.inputs, *self.outputs) if spec.datatype in RAW_ONLY)
        return Call(self.name, tuple(_make(spec, rows, random) for spec in self.inputs), raw_only=raw)


def discover(http: HttpWire, name: str, *, batch: int, seed: int) -> Subject:
    """Find the model called ``name``, or the first one that the server lists.

    Raises:
        CannotTestError: when there is no server or no model with inputs that can be made up.
    """
    try:
        alive = http.ask(HttpRequest("GET", "/v2/health/live"))
    except WireError as error:
        raise CannotTestError(str(error)) from None
    names = [name] if name else _listed(http)
    if not names:
        raise CannotTestError(
            f"the server (health: {alive.status}) lists no models; name one with --model NAME"
        )
    reason = ""
    for candidate in names:
        try:
            return describe(http, candidate, batch=batch, seed=seed)
        except (Violation, WireError) as error:
            reason = str(error)
    raise CannotTestError(f"no model can be tested; '{names[-1]}': {reason}")


def describe(http: HttpWire, name: str, *, batch: int, seed: int) -> Subject:
    """Read a model's metadata.

    Raises:
        Violation: when they are missing, or its inputs are nothing that can be made up.
        WireError: when no answer comes.
    """
    answer = http.ask(HttpRequest("GET", model_path(name)))
    if answer.status != 200:
        raise Violation(f"its metadata are answered with status {answer.status}")
    body = answer.object()
    versions = body.get("versions") or ()
    subject = Subject(
        name,
        tuple(str(version) for version in versions) if isinstance(versions, list) else (),
        _inputs(body.get("inputs")),
        _outputs(body.get("outputs")),
        batch,
        seed,
    )
    subject.call()
    return subject


def _listed(http: HttpWire) -> list[str]:
    for method, target in (("POST", "/v2/repository/index"), ("GET", "/v2/models")):
        try:
            answer = http.ask(HttpRequest(method, target, body=b"{}" if method == "POST" else None))
            read: Any = answer.json() if answer.status == 200 else []
        except (WireError, Violation):
            continue
        entries = read.get("models") if isinstance(read, dict) else read
        listed = entries if isinstance(entries, list) else ()
        names = [entry.get("name") if isinstance(entry, dict) else entry for entry in listed]
        found = [name for name in names if isinstance(name, str) and name]
        if found:
            return found
    return []


def _inputs(listed: Any) -> tuple[DeclaredTensor, ...]:
    if not isinstance(listed, list) or not listed:
        raise Violation("its metadata name no inputs")
    specs = []
    for entry in listed:
        spec = _spec(entry)
        if spec is None:
            raise Violation(f"nothing can be made up for its input {str(entry)[:100]}")
        specs.append(spec)
    return tuple(specs)


def _outputs(listed: Any) -> tuple[DeclaredTensor, ...]:
    """Return what can be read; a check of its own judges what cannot."""
    specs = map(_spec, listed if isinstance(listed, list) else ())
    return tuple(spec for spec in specs if spec is not None)


def _spec(entry: Any) -> DeclaredTensor | None:
    fields = entry if isinstance(entry, dict) else {}
    name, datatype, shape = fields.get("name"), fields.get("datatype"), fields.get("shape")
    has_name = isinstance(name, str) and isinstance(datatype, str) and datatype in DTYPES
    sizes: list[Any] = shape if isinstance(shape, list) else [None]
    if not has_name or not all(isinstance(size, int) and -1 <= size <= _MOST_ELEMENTS for size in sizes):
        return None
    return DeclaredTensor(str(name), str(datatype), tuple(sizes))


def _make(spec: DeclaredTensor, batch: int, random: np.random.Generator) -> SuiteTensor:
    sizes = [FREE_SIZE if size == -1 else size for size in spec.shape]
    if spec.shape[:1] == (-1,):
        sizes[0] = batch
    count = math.prod(sizes)
    if count > _MOST_ELEMENTS:
        raise Violation(f"its input '{spec.name}' has more elements than are worth making up")
    return SuiteTensor(spec.name, spec.datatype, tuple(sizes), _values(spec.datatype, count, random))


def _values(datatype: str, count: int, random: np.random.Generator) -> Array:
    dtype = DTYPES[datatype]
    if datatype == "BF16":
        return (random.random(count, np.float32).view("<u4") >> 16).astype(dtype)
    if datatype == "BYTES":
        texts = np.empty(count, object)
        texts[:] = [str(number).encode() for number in random.integers(0, 100, count)]
        return texts
    if dtype.kind == "f":
        return random.standard_normal(count).astype(dtype)
    return random.integers(0, 2 if dtype.kind == "b" else 10, count).astype(dtype)
