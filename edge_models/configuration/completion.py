"""A model's configuration and its graph: do they agree, and what the graph adds. Texts are like Triton's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge_models.configuration.lines import Step
from edge_models.configuration.model_configuration import (
    ConfiguredBatching,
    ConfiguredInput,
    ConfiguredOutput,
    ConfiguredTensor,
    ModelConfiguration,
)
from edge_models.configuration.remarks import Remark
from gateway.core.catalog import TensorSpec
from gateway.core.errors import printable
from gateway.core.tensor import BYTES

_MOST_NAMED: Final = 20
_IMAGE: Final = ("FORMAT_NHWC", "FORMAT_NCHW")


@dataclass(frozen=True, slots=True)
class GraphSignature:
    """What a model file takes and gives.

    ``defaults``: inputs that have a value when they are left out.
    """

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    defaults: Sequence[TensorSpec] = ()

    @property
    def is_batchable(self) -> bool:
        """Whether the first dimension of every tensor is free, so that it may be a batch."""
        return all(each.shape[:1] == (-1,) for each in (*self.inputs, *self.outputs))


def complete(
    config: ModelConfiguration, graph: GraphSignature, default_max_batch_size: int
) -> ModelConfiguration:
    """Return ``config`` with what it leaves to the graph, as Triton completes that of an ONNX model.

    ``default_max_batch_size``: what is completed where there may be a batch (Triton's
    ``default-max-batch-size``). With all inputs and outputs declared, nothing is completed.
    """
    if config.inputs and config.outputs:
        return config
    most, batching = config.max_batch_size, config.dynamic_batching
    if graph.is_batchable:
        most = most or default_max_batch_size
        if most > 1 and batching is None and config.sequence_batching is None:
            batching = ConfiguredBatching()
    hidden = _hidden(config)
    return replace(
        config,
        max_batch_size=most,
        dynamic_batching=batching,
        inputs=config.inputs
        or tuple(
            ConfiguredInput(each.name, each.datatype, each.shape[most > 0 :])
            for each in graph.inputs
            if each.name not in hidden
        ),
        outputs=config.outputs
        or tuple(
            ConfiguredOutput(each.name, each.datatype, each.shape[most > 0 :])
            for each in graph.outputs
            if each.name not in hidden
        ),
    )


def specs_of(tensors: Iterable[ConfiguredTensor], *, is_batched: bool) -> tuple[TensorSpec, ...]:
    """Return what clients are to send or get."""
    rows = (-1,) if is_batched else ()
    return tuple(TensorSpec(each.name, each.datatype, (*rows, *each.dims)) for each in tensors)


def disagreements(config: ModelConfiguration, graph: GraphSignature, model: str) -> Iterator[Remark]:
    """Yield in what a completed ``config`` and ``graph`` contradict each other."""
    if config.max_batch_size < 0:
        where = config.where("max_batch_size")
        yield Remark("error", where, f"'max_batch_size' must be non-negative value for {model}")
        return
    yield from _unbatched(config)
    hidden = _hidden(config)
    inputs, outputs = _by_name(graph.inputs), _by_name(graph.outputs)
    optional = _by_name(graph.defaults)
    visible = [name for name in inputs if name not in hidden]
    declared = {each.name for each in config.inputs if not (each.optional and each.name in optional)}
    if len(visible) != len(declared):
        named = ", ".join(f"'{name}'" for name in visible if name not in declared) or "none more"
        yield Remark(
            "error",
            config.where("input"),
            f"configuration expects {len(declared)} inputs, model provides {len(visible)}: {named}",
        )
    yield from _twice(config, config.inputs, "input")
    yield from _twice(config, config.outputs, "output")
    for index, each in enumerate(config.inputs):
        step: Step = ("input", index)
        if each.format not in (*_IMAGE, "FORMAT_NONE"):
            sentence = f"format '{each.format}' is not one of FORMAT_NONE, {', '.join(_IMAGE)}"
            yield Remark("error", config.where(step, "format"), sentence)
        if each.format in _IMAGE and len(each.dims) != 3:
            yield Remark("error", config.where(step, "format"), "model input NHWC/NCHW require 3 dims")
        if each.optional and config.max_batch_size:
            yield Remark(
                "error",
                config.where(step, "optional"),
                f"optional input '{printable(each.name)}' is not supported for models that support batching",
            )
        elif each.optional and each.name in inputs:
            yield Remark(
                "warning",
                config.where(step, "optional"),
                f"optional input '{printable(each.name)}' has no default value in the model: requests "
                "without it are refused",
            )
        known = {**inputs, **optional} if each.optional else inputs
        yield from _compare(config, step, each, known, "input")
    for index, output in enumerate(config.outputs):
        yield from _compare(config, ("output", index), output, outputs, "output")


def _hidden(config: ModelConfiguration) -> set[str]:
    """Inputs that the server makes, and states that it keeps: clients neither send nor have to get them."""
    sequences = config.sequence_batching
    if sequences is None:
        return set()
    controls = {each.name for each in sequences.control_input}
    return controls | {name for each in sequences.state for name in (each.input_name, each.output_name)}


def _unbatched(config: ModelConfiguration) -> Iterator[Remark]:
    batching = config.dynamic_batching
    if batching is None or config.max_batch_size:
        return
    if batching.preferred_batch_size:
        where = config.where("dynamic_batching", "preferred_batch_size")
        yield Remark("error", where, "preferred_batch_size must not exceed max_batch_size, which is 0")
    else:
        where = config.where("dynamic_batching")
        yield Remark("warning", where, "dynamic_batching joins no requests: max_batch_size is 0")


def _by_name(specs: Iterable[TensorSpec]) -> dict[str, TensorSpec]:
    return {each.name: each for each in specs}


def _twice(config: ModelConfiguration, tensors: Sequence[ConfiguredTensor], kind: str) -> Iterator[Remark]:
    names: set[str] = set()
    for index, each in enumerate(tensors):
        if each.name in names:
            where = config.where((kind, index), "name")
            yield Remark("error", where, f"model {kind} '{printable(each.name)}' is declared twice")
        names.add(each.name)


def _compare(
    config: ModelConfiguration, step: Step, each: ConfiguredTensor, known: Mapping[str, TensorSpec], kind: str
) -> Iterator[Remark]:
    name = printable(each.name)
    if not each.name:
        yield Remark("error", config.where(step), f"model {kind} must specify 'name'")
        return
    if each.name not in known:
        named = ", ".join(list(known)[:_MOST_NAMED])
        sentence = f"unexpected inference {kind} '{name}', allowed {kind}s are: {named}"
        yield Remark("error", config.where(step, "name"), sentence)
        return
    spec = known[each.name]
    if not each.datatype:
        yield Remark("error", config.where(step), f"model {kind} must specify 'data_type': {_type(spec)}")
    elif each.datatype != spec.datatype:
        sentence = (
            f"configuration expects datatype {_type(each)} for {kind} '{name}', model provides {_type(spec)}"
        )
        yield Remark("error", config.where(step, "data_type"), sentence)
    yield from _compare_dims(config, step, each, spec)


def _compare_dims(
    config: ModelConfiguration, step: Step, each: ConfiguredTensor, spec: TensorSpec
) -> Iterator[Remark]:
    where, name = config.where(step, "dims"), printable(each.name)
    if any(size < 1 and size != -1 for size in each.dims):
        yield Remark("error", where, f"tensor '{name}': dimensions must be integers >= 1, or -1")
        return
    is_batched = config.max_batch_size > 0
    if is_batched and spec.shape[:1] != (-1,):
        yield Remark(
            "error",
            config.where("max_batch_size"),
            f"tensor '{name}': for the model to support batching the shape should have at least 1 dimension "
            f"and the first dimension must be -1; but shape expected by the model is {list(spec.shape)}: "
            "export it with a free first dimension, or say max_batch_size: 0",
        )
        return
    if each.reshape is None and not each.dims and spec.shape[is_batched:]:
        yield Remark("error", where, f"tensor '{name}' must specify 'dims': the model has {list(spec.shape)}")
        return
    dims = each.dims if each.reshape is None else each.reshape
    if not spec.shape and each.reshape is None and set(dims) <= {1}:
        return
    full = (*((-1,) if is_batched else ()), *dims)
    if len(full) != len(spec.shape):
        yield Remark(
            "error",
            where,
            f"tensor '{name}': the model expects {len(spec.shape)} dimensions (shape {_shape(spec.shape)}) "
            f"but the model configuration specifies {len(full)} dimensions (shape {_shape(full)})",
        )
    elif any(has not in {-1, wants} for has, wants in zip(spec.shape, full, strict=True)):
        yield Remark(
            "error",
            where,
            f"tensor '{name}': the model expects shape {list(spec.shape)} but the model configuration "
            f"specifies shape {list(full)}",
        )


def _shape(dims: Sequence[int]) -> str:
    some = ", ".join(map(str, dims[:_MOST_NAMED]))
    return f"[{some}{', ...' if len(dims) > _MOST_NAMED else ''}]"


def _type(tensor: ConfiguredTensor | TensorSpec) -> str:
    return "TYPE_STRING" if tensor.datatype == BYTES else f"TYPE_{tensor.datatype}"
