"""What of a model's configuration is not obeyed here, each with its place: nothing is passed over in silence.

An error is what would change answers, or who gets them; a warning what would change how fast they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from edge_models.configuration.lines import Step
from edge_models.configuration.model_configuration import ModelConfiguration
from edge_models.errors import ModelError
from gateway.core.errors import printable

_MOST_NAMED: Final = 20

Severity = Literal["error", "warning", "note"]

BACKEND: Final = "onnxruntime"
PLATFORM: Final = "onnxruntime_onnx"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about a model. ``where``: `config.pbtxt:12`, or another file of its folder."""

    severity: Severity
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class RemarksError(ModelError):
    """A model cannot be served because of ``remarks``."""

    def __init__(self, folder: Path, remarks: Sequence[Remark]) -> None:
        more = f"; and {len(remarks) - _MOST_NAMED:,} more" if len(remarks) > _MOST_NAMED else ""
        super().__init__(f"{folder}/{'; '.join(map(str, remarks[:_MOST_NAMED]))}{more}")
        self.remarks = tuple(remarks)


_WHOLE: Final[tuple[tuple[str, Severity, str], ...]] = (
    (
        "ensemble_scheduling",
        "error",
        "ensembles run on a central Triton: have a route send their requests there",
    ),
    ("batch_input", "error", "inputs that a server makes of the batch are not made here"),
    ("batch_output", "error", "outputs are not scattered over requests of different shapes here"),
    (
        "cc_model_filenames",
        "error",
        "there is one file for all devices here: name it in default_model_filename",
    ),
    ("model_operations", "error", "libraries with operators are not loaded into a gateway"),
    ("model_repository_agents", "error", "repository agents are not run here"),
    ("metric_tags", "warning", "metrics have the tags of all models, and no others"),
    ("model_metrics", "warning", "metrics have the buckets of all models"),
    ("runtime", "warning", "models run in the gateway's ONNX Runtime"),
)
_TENSOR: Final[tuple[tuple[str, Severity, str], ...]] = (
    ("is_shape_tensor", "error", "shape tensors are TensorRT's"),
    ("allow_ragged_batch", "error", "requests of different shapes do not share a batch here"),
    ("is_non_linear_format_io", "error", "tensors come in linear format only"),
)
_INSTANCES: Final[tuple[tuple[str, Severity, str], ...]] = (
    ("gpus", "warning", "the GPU is the process's first one"),
    ("profile", "warning", "optimization profiles are TensorRT's"),
    ("rate_limiter", "warning", "there is no rate limiter over models here"),
    ("passive", "error", "every instance takes requests here"),
    ("secondary_devices", "warning", "there are no secondary devices here"),
    ("host_policy", "warning", "there are no host policies here"),
)
_OPTIMIZATION: Final[tuple[tuple[str, Severity, str], ...]] = (
    ("priority", "warning", "no model has priority over another here"),
    ("cuda", "warning", "CUDA runs with the options of all models"),
    ("input_pinned_memory", "warning", "pinned memory is not used"),
    ("output_pinned_memory", "warning", "pinned memory is not used"),
    ("gather_kernel_buffer_threshold", "warning", "inputs are gathered on the CPU"),
    ("eager_batching", "warning", "batches are put together when a thread is free"),
)
_GRAPH_LEVELS: Final = (-1, 0, 1, 2)
_NO_ACCELERATOR: Final = (
    "this ONNX Runtime has no execution accelerator but CUDA, which `models.providers` switches on"
)
_PARAMETERS: Final = {
    **dict.fromkeys(
        ("execution_mode", "intra_op_thread_count", "inter_op_thread_count", "enable_mem_pattern"), ""
    ),
    "enable_mem_arena": "the arena is what bounds a model's memory (`max_mem_mib`): it stays switched on",
    "share_session_between_instances": "all instances share one session here",
    "session.use_device_allocator_for_initializers": "weights lie where ONNX Runtime's default puts them",
    "memory.enable_memory_arena_shrinkage": "the arena keeps what it has, up to `max_mem_mib`",
    **dict.fromkeys(
        (
            *("cudnn_conv_algo_search", "gpu_mem_limit", "arena_extend_strategy"),
            "do_copy_in_default_stream",
        ),
        "CUDA runs with the options of all models",
    ),
}
_UNKNOWN_PARAMETER: Final = (
    "is no parameter that ONNX Runtime's backend knows; clients can read it, nothing obeys it"
)


def remarks(config: ModelConfiguration) -> Iterator[Remark]:
    """Yield what of ``config`` is not obeyed."""
    whole = config.message
    yield from _present(config, whole, _WHOLE)
    for kind in ("input", "output"):
        for index, tensor in enumerate(getattr(whole, kind)):
            yield from _present(config, tensor, _TENSOR, (kind, index))
    for index, instances in enumerate(whole.instance_group):
        yield from _present(config, instances, _INSTANCES, ("instance_group", index))
    yield from _optimization(config)
    if config.decoupled:
        where = config.where("model_transaction_policy", "decoupled")
        yield Remark("error", where, "model_transaction_policy.decoupled: each request has one answer here")
    for name in sorted(config.parameters):
        why = _PARAMETERS.get(name, _UNKNOWN_PARAMETER)
        if why:
            sentence = f"parameter '{printable(name)}' is not obeyed: {why}"
            yield Remark("warning", config.where(("parameters", name)), sentence)


def _optimization(config: ModelConfiguration) -> Iterator[Remark]:
    optimization = config.message.optimization
    yield from _present(config, optimization, _OPTIMIZATION, "optimization")
    if optimization.graph.level not in _GRAPH_LEVELS:
        where = config.where("optimization", "graph", "level")
        yield Remark("warning", where, "level is not obeyed: it is one of -1, 0, 1 and 2, and 0 is taken")
    for kind in ("gpu_execution_accelerator", "cpu_execution_accelerator"):
        for index, each in enumerate(getattr(optimization.execution_accelerators, kind)):
            if each.name != "cuda":
                where = config.where("optimization", "execution_accelerators", (kind, index))
                yield Remark(
                    "warning", where, f"{kind} '{printable(each.name)}' is not used: {_NO_ACCELERATOR}"
                )


def _present(
    config: ModelConfiguration, each: Any, rules: tuple[tuple[str, Severity, str], ...], *path: Step
) -> Iterator[Remark]:
    present = {field.name for field, _ in each.ListFields()}
    for name, severity, sentence in rules:
        if name in present:
            verb = "is not supported" if severity == "error" else "is not obeyed"
            yield Remark(severity, config.where(*path, name), f"{name} {verb}: {sentence}")
