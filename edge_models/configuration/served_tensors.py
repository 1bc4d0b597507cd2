"""The inputs and outputs of a model as its clients have them, which its graph may have in other shapes.

Triton's words: ``dims`` are what clients send, without the batch dimension where there is one; ``reshape`` is
what the graph has in their place. A -1 of the one stands for that of the other, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Final

from edge_models.configuration.model_configuration import ConfiguredTensor, ModelConfiguration
from edge_models.errors import ModelError
from gateway.core.catalog import TensorSpec
from gateway.core.tensor import Array

_FREE: Final = -1


@dataclass(frozen=True, slots=True)
class Reshape:
    """From dimensions ``given`` to ``wanted``, both without the ``lead`` dimensions, which stay."""

    given: tuple[int, ...]
    wanted: tuple[int, ...]
    lead: int

    def __call__(self, array: Array) -> Array:
        """Return ``array``, whose shape is as ``given``, in the shape that is wanted; the data is the same.

        Raises:
            ValueError: its shape is not as ``given``.
        """
        free = iter(
            [size for size, dim in zip(array.shape[self.lead :], self.given, strict=True) if dim == _FREE]
        )
        shape = tuple([next(free) if dim == _FREE else dim for dim in self.wanted])
        return array.reshape(array.shape[: self.lead] + shape)


@dataclass(frozen=True, slots=True)
class ServedTensors:
    """What clients send and get.

    ``inputs``, ``outputs``: in the order of the configuration, else of the graph. ``to_graph``,
    ``from_graph``: what turns an input, and an output, into the other's shape, for those that need it.
    ``optional``: inputs that requests may leave out.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    to_graph: Mapping[str, Reshape] = field(default_factory=dict)
    from_graph: Mapping[str, Reshape] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()


def served_tensors(
    config: ModelConfiguration | None, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> ServedTensors:
    """Return what clients of a graph with ``inputs`` and ``outputs`` send and get.

    That tensors have the names and datatypes of the graph is checked elsewhere; those that it does not have
    are left out here.

    Raises:
        ModelError: naming the line.
    """
    if config is None:
        return ServedTensors(tuple(inputs), tuple(outputs))
    lead = int(config.max_batch_size > 0)
    return ServedTensors(
        _specs(config.inputs, inputs, lead),
        _specs(config.outputs, outputs, lead),
        dict(_reshapes(config, "input", config.inputs, lead)),
        {
            name: Reshape(reshape.wanted, reshape.given, lead)
            for name, reshape in _reshapes(config, "output", config.outputs, lead)
        },
        frozenset(each.name for each in config.inputs if each.optional),
    )


def _specs(
    configured: Sequence[ConfiguredTensor], graph: Sequence[TensorSpec], lead: int
) -> tuple[TensorSpec, ...]:
    if not configured:
        return tuple(graph)
    known = {spec.name: spec for spec in graph}
    return tuple(
        replace(known[each.name], shape=(_FREE,) * lead + each.dims)
        if each.dims or each.reshape is not None
        else known[each.name]
        for each in configured
        if each.name in known
    )


def _reshapes(
    config: ModelConfiguration, kind: str, tensors: Sequence[ConfiguredTensor], lead: int
) -> Iterator[tuple[str, Reshape]]:
    for place, tensor in enumerate(tensors):
        if tensor.reshape is not None:
            yield tensor.name, _reshape(tensor, lead, config.where((kind, place), "reshape"))


def _reshape(tensor: ConfiguredTensor, lead: int, where: str) -> Reshape:
    wanted = tensor.reshape or ()
    if not lead and not wanted:
        raise ModelError(f"{where}: the reshape of '{tensor.name}' is empty, and there is no batch dimension")
    if any(size < 1 and size != _FREE for size in (*tensor.dims, *wanted)):
        raise ModelError(f"{where}: dimensions of '{tensor.name}' must be integers >= 1, or -1")
    if _parts(tensor.dims) != _parts(wanted):
        raise ModelError(
            f"{where}: '{tensor.name}' has different size for dims {_shape(tensor.dims)} and reshape "
            f"{_shape(wanted)}"
        )
    return Reshape(tensor.dims, wanted, lead)


def _parts(dims: Sequence[int]) -> list[int]:
    """Return the elements before the first free dimension, between each two, and after the last."""
    ends = [place for place, dim in enumerate(dims) if dim == _FREE]
    return [prod(dims[start + 1 : end]) for start, end in zip([-1, *ends], [*ends, len(dims)], strict=True)]


def _shape(dims: Sequence[int]) -> str:
    return f"[{','.join(map(str, dims))}]"
