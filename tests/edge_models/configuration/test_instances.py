"""How many instances a model has, and where they run."""

from __future__ import annotations

import pytest

from edge_models.configuration.instances import instance_count, instance_providers, instance_remarks
from edge_models.configuration.reading import parse_text
from edge_models.session import CPU, CUDA


def config(*groups: str):
    return parse_text("\n".join(f"instance_group {{ {group} }}" for group in groups).encode())


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ((), None),
        (("",), 1),
        (("count: 3 kind: KIND_CPU",), 3),
        (("count: -3",), 1),
        (("count: -3", "count: 3"), 4),
        (("count: 2", "kind: KIND_GPU gpus: [ 0, 1 ] count: 2"), 6),
    ],
)
def test_instances_are_added_up(groups, count):
    """Over all groups, and over all GPUs of one."""
    assert instance_count(config(*groups)) == count


@pytest.mark.parametrize(
    ("groups", "providers", "expected"),
    [
        ((), [CUDA, CPU], [CUDA, CPU]),
        (("kind: KIND_CPU",), [CUDA, CPU], [CPU]),
        (("kind: KIND_CPU",), [CUDA], [CUDA]),
        (("kind: KIND_GPU",), [CUDA, CPU], [CUDA, CPU]),
        (("",), [CUDA, CPU], [CUDA, CPU]),
        (("kind: KIND_CPU", "kind: KIND_GPU"), [CUDA, CPU], [CUDA, CPU]),
    ],
)
def test_a_model_of_the_cpu_is_not_put_on_a_gpu(groups, providers, expected):
    """Unless the process has no other; all other kinds run on what the process prefers."""
    assert instance_providers(config(*groups), providers) == expected
    assert instance_providers(None, providers) == providers


@pytest.mark.parametrize(
    ("groups", "remarks"),
    [
        ((), []),
        (("count: 2 kind: KIND_CPU",), []),
        (("",), []),
        (("", "kind: KIND_GPU"), ["note config.pbtxt:2: KIND_GPU is not obeyed"]),
        (("count: 2", "count: 3"), ["note config.pbtxt:1: there are 5 instances, and 2 runs of all models"]),
        (("", "kind: 9"), ["error config.pbtxt:2: kind '9' is not one of KIND_AUTO, KIND_GPU,"]),
    ],
)
def test_what_cannot_be_obeyed_is_named(groups, remarks):
    """A GPU that is not there, more runs at once than there are threads, and a kind that nobody knows."""
    found = [f"{each.severity} {each}" for each in instance_remarks(config(*groups), [CPU], threads=2)]

    assert len(found) == len(remarks)
    assert all(each.startswith(words) for each, words in zip(found, remarks, strict=True)), found


def test_a_gpu_that_is_there_is_obeyed():
    """Then there is nothing to say."""
    assert not list(instance_remarks(config("kind: KIND_GPU"), [CUDA, CPU], threads=1))
