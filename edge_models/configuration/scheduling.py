"""How requests for a model are scheduled: what its `config.pbtxt` says, and what this process's settings say.

Where `models.batching.NAME` of the settings says anything about batches or queues, it stands for all that the
file says about them: it is this process's, and the file may be another server's as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from edge_models.configuration.instances import instance_count
from edge_models.configuration.model_configuration import (
    ConfiguredBatching,
    ConfiguredQueue,
    ModelConfiguration,
)
from edge_models.errors import ModelError
from edge_models.settings import BatchingSettings
from gateway.core.catalog import TensorSpec

_DEFAULTS: Final = BatchingSettings()
_MOST_LEVEL: Final = (1 << 63) - 1
_INLINE: Final = ("inline_max_rows", "inline_join")


@dataclass(frozen=True, slots=True)
class Scheduling:
    """How requests for one version of a model are scheduled.

    ``batching``: how they wait. ``max_rows``: the most rows of one; None: the first dimension is no batch,
    and each is run as it is. ``merges``: several may share a run. ``instances``: the most runs at once; None:
    as many as there are threads.
    """

    batching: BatchingSettings
    max_rows: int | None
    merges: bool
    instances: int | None = None


def scheduling_of(
    config: ModelConfiguration | None,
    entry: BatchingSettings | None,
    tensors: tuple[TensorSpec, ...],
    *,
    batchable: bool,
) -> Scheduling:
    """Return how requests are scheduled.

    Args:
        config: the model's `config.pbtxt`; None where there is none.
        entry: of the settings; None where they do not name the model.
        tensors: all inputs and outputs of the graph.
        batchable: whether its first dimension is a batch, as far as the graph shows.

    Raises:
        ModelError: naming the line.
    """
    if config is None:
        batching = entry or _DEFAULTS
        return Scheduling(batching, batching.max_batch_size if batchable else None, batchable)
    _check_batch_dimension(config, tensors)
    instances = instance_count(config)
    if entry is not None and not _is_only_inline(entry):
        has_batch = batchable or config.max_batch_size > 0
        return Scheduling(entry, entry.max_batch_size if has_batch else None, has_batch, instances)
    batching, has_batch = _batching(config, entry, batchable=batchable)
    # Rows of several sequences share runs by themselves.
    is_batched = bool(config.dynamic_batching or config.sequence_batching) or _is_completed(config)
    merges = has_batch and is_batched
    return Scheduling(batching, batching.max_batch_size if has_batch else None, merges, instances)


def _batching(
    config: ModelConfiguration, entry: BatchingSettings | None, *, batchable: bool
) -> tuple[BatchingSettings, bool]:
    """Return how requests wait as the file has it, and whether the first dimension is the batch."""
    # As Triton has it: a file without inputs or outputs is completed from the graph.
    has_batch = config.max_batch_size > 0 or (batchable and _is_completed(config))
    values: dict[str, Any] = _values(config.dynamic_batching)
    if config.max_batch_size > 0:
        values["max_batch_size"] = config.max_batch_size
    if entry is not None:
        values |= {name: getattr(entry, name) for name in _INLINE}
    if entry is not None and not has_batch:
        values["inline_join"] = False
    try:
        return msgspec.convert(values, BatchingSettings), has_batch
    except msgspec.ValidationError as error:
        field = "max_batch_size" if "$.max_batch_size" in str(error) else "dynamic_batching"
        words = str(error).replace(" - at `$", " - at `")
        raise ModelError(f"{config.where(field)}: {words}") from error


def _is_completed(config: ModelConfiguration) -> bool:
    return not (config.inputs and config.outputs) and config.sequence_batching is None


def _values(batching: ConfiguredBatching | None) -> dict[str, Any]:
    if batching is None:
        return {}
    return {
        "preferred_batch_size": batching.preferred_batch_size,
        "max_queue_delay_microseconds": batching.max_queue_delay_microseconds,
        "preserve_ordering": batching.preserve_ordering,
        "priority_levels": min(batching.priority_levels, _MOST_LEVEL),
        "default_priority_level": min(batching.default_priority_level, _MOST_LEVEL),
        "default_queue_policy": _policy(batching.default_queue_policy),
        "priority_queue_policy": {
            min(level, _MOST_LEVEL): _policy(policy)
            for level, policy in batching.priority_queue_policy.items()
        },
    }


def _policy(policy: ConfiguredQueue) -> Mapping[str, Any]:
    return {
        "timeout_action": policy.timeout_action,
        "default_timeout_microseconds": policy.default_timeout_microseconds,
        "allow_timeout_override": policy.allow_timeout_override,
        "max_queue_size": policy.max_queue_size,
    }


def _is_only_inline(entry: BatchingSettings) -> bool:
    return replace(entry, inline_max_rows=0, inline_join=False) == _DEFAULTS


def _check_batch_dimension(config: ModelConfiguration, tensors: tuple[TensorSpec, ...]) -> None:
    if config.max_batch_size < 0:
        raise ModelError(f"{config.where('max_batch_size')}: 'max_batch_size' must be non-negative value")
    for tensor in tensors if config.max_batch_size else ():
        if tensor.shape[:1] != (-1,):
            shape = ",".join(map(str, tensor.shape))
            raise ModelError(
                f"{config.where('max_batch_size')}: for the model to support batching the shape should have "
                f"at least 1 dimension and the first dimension must be -1; but '{tensor.name}' has the shape "
                f"[{shape}] in the model; say `max_batch_size: 0`"
            )
