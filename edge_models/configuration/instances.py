"""`instance_group`: how many runs of a model there may be at once, and on what."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, TypeVar

from edge_models.configuration.model_configuration import ModelConfiguration

_log = logging.getLogger(__name__)

_CPU: Final = "CPUExecutionProvider"

Choice = TypeVar("Choice", bound=tuple[str, dict[str, str]])


def instance_count(config: ModelConfiguration) -> int | None:
    """Return how many instances all groups have; None where there is no group.

    A group without a number is one instance; one with several GPUs has as many on each.
    """
    groups = config.instance_group
    return sum((group.count or 1) * (len(group.gpus) or 1) for group in groups) if groups else None


def instance_providers(
    config: ModelConfiguration | None, providers: Sequence[Choice], model: str
) -> list[Choice]:
    """Return those of ``providers`` that a model runs on: a model of KIND_CPU never on a GPU.

    One of KIND_GPU runs on what there is, and that is named: a repository is the same on a machine without
    a GPU. Whoever wants it refused says `models.require`.
    """
    if config is None or not config.instance_group:
        return list(providers)
    kinds = {group.kind for group in config.instance_group}
    if kinds == {"KIND_CPU"}:
        return [choice for choice in providers if choice[0] == _CPU] or list(providers)
    if "KIND_GPU" in kinds and all(choice[0] == _CPU for choice in providers):
        _log.warning(
            "model %s: %s: KIND_GPU is not obeyed: this process's models run on the CPU (`models.providers`)",
            model,
            config.where("instance_group"),
        )
    return list(providers)
