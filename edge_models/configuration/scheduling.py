"""How requests for a model are scheduled: what its `config.pbtxt` says, and what this process's settings say.

Where `models.batching.NAME` of the settings says anything about batches or queues, it stands for all that the
file says about them but whether there is a batch: it is this process's, and the file may be another server's
as well.
"""

from __future__ import annotations

import re
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

_DEFAULTS: Final = BatchingSettings()
_MOST_LEVEL: Final = (1 << 63) - 1


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
    config: ModelConfiguration | None, entry: BatchingSettings | None, *, batchable: bool
) -> Scheduling:
    """Return how requests are scheduled.

    Args:
        config: the model's `config.pbtxt` with what its graph adds; None where there is none.
        entry: of the settings; None where they do not name the model.
        batchable: whether the first dimension is the batch; a file says so by its ``max_batch_size``.

    Raises:
        ModelError: naming the line.
    """
    if config is None:
        batching, merges, instances = entry or _DEFAULTS, True, None
    elif entry is not None and not _is_only_inline(entry):
        batching, merges, instances = entry, True, instance_count(config)
    else:
        batching, instances = _batching(config, entry, batchable=batchable), instance_count(config)
        # Rows of several sequences share runs by themselves.
        merges = config.dynamic_batching is not None or config.sequence_batching is not None
    return Scheduling(
        batching, batching.max_batch_size if batchable else None, batchable and merges, instances
    )


def _batching(
    config: ModelConfiguration, entry: BatchingSettings | None, *, batchable: bool
) -> BatchingSettings:
    """Return how requests wait as the file has it."""
    values = _values(config.dynamic_batching)
    if config.max_batch_size:
        values["max_batch_size"] = config.max_batch_size
    if entry is not None:
        values |= {"inline_max_rows": entry.inline_max_rows, "inline_join": entry.inline_join and batchable}
    try:
        return msgspec.convert(values, BatchingSettings)
    except msgspec.ValidationError as error:
        raise ModelError(_sentence(config, str(error))) from error


def _sentence(config: ModelConfiguration, message: str) -> str:
    """Return what msgspec found, in words for whoever writes the file."""
    what, _, at = message.partition(" - at `$.")
    names = re.findall("[a-z_]+", at) or what.split()[:1]
    where = config.where(*(names if names[0] == "max_batch_size" else ("dynamic_batching", *names)))
    if at:
        what = f"{'.'.join(names)}: {what.replace('Expected `int`', 'must be a whole number,')}"
    return f"{where}: {what}"


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
