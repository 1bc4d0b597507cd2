"""How many instances a model has, and where they run."""

from __future__ import annotations

import pytest

from edge_models.configuration.instances import instance_count, instance_providers
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
def test_a_model_of_the_cpu_is_not_put_on_a_gpu(groups, providers, expected, caplog):
    """Unless the process has no other; all other kinds run on what the process prefers."""
    assert instance_providers(config(*groups), providers, "digits") == expected
    assert instance_providers(None, providers, "digits") == providers
    assert caplog.text == ""


def test_a_gpu_that_is_not_there_is_named(caplog):
    """With the line; the model runs all the same."""
    assert instance_providers(config("", "kind: KIND_GPU"), [CPU], "digits") == [CPU]

    assert "model digits: config.pbtxt:1: KIND_GPU is not obeyed" in caplog.text
