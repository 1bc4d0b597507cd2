"""`instance_group`: how many runs of a model there may be at once, and on what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from edge_models.configuration.model_configuration import ModelConfiguration
from edge_models.configuration.remarks import Remark

_CPU: Final = "CPUExecutionProvider"
_KINDS: Final = ("KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL")

Choice = TypeVar("Choice", bound=tuple[str, dict[str, str]])


def instance_count(config: ModelConfiguration) -> int | None:
    """Return how many instances all groups have; None where there is no group.

    A group without a number, or with a negative one, is one instance; one with several GPUs has as many on
    each.
    """
    groups = config.instance_group
    return sum(max(1, group.count) * (len(group.gpus) or 1) for group in groups) if groups else None


def instance_providers(config: ModelConfiguration | None, providers: Sequence[Choice]) -> list[Choice]:
    """Return those of ``providers`` that a model runs on: a model of KIND_CPU never on a GPU.

    One of KIND_GPU runs on what there is: a repository is the same on a machine without a GPU. Whoever wants
    it refused says `models.require`.
    """
    kinds = {group.kind for group in config.instance_group} if config is not None else set()
    if kinds == {"KIND_CPU"}:
        return [choice for choice in providers if choice[0] == _CPU] or list(providers)
    return list(providers)


def instance_remarks(
    config: ModelConfiguration, providers: Sequence[Choice], threads: int
) -> Iterator[Remark]:
    """Yield what a process that has ``providers`` and so many ``threads`` for all models cannot obey."""
    on_cpu = all(choice[0] == _CPU for choice in providers)
    for place, group in enumerate(config.instance_group):
        where = config.where(("instance_group", place), "kind")
        if group.kind not in _KINDS:
            yield Remark("error", where, f"kind '{group.kind}' is not one of {', '.join(_KINDS)}")
        elif group.kind == "KIND_GPU" and on_cpu:
            yield Remark("note", where, "KIND_GPU is not obeyed: models run on the CPU (`models.providers`)")
    count = instance_count(config) or 0
    if count > threads:
        yield Remark(
            "note",
            config.where("instance_group"),
            f"there are {count:,} instances, and {threads} runs of all models go at once: raise "
            "`models.threads` of the settings",
        )
