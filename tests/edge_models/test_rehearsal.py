"""Files are loaded in a child process first: what takes too much there costs the gateway nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from edge_models.errors import ModelError
from edge_models.model_files import ModelFiles
from edge_models.rehearsal import Rehearsal
from edge_models.settings import ModelLimits
from tests.edge_models import hostile_models, onnx_models

PATH = Path("digits/1/model.onnx")
LIMITS = ModelLimits(max_mem_mib=256)


@pytest.fixture
def rehearsal():
    with Rehearsal() as made:
        yield made


def refusal(rehearsal: Rehearsal, content: bytes, limits: ModelLimits = LIMITS) -> str:
    with pytest.raises(ModelError) as refused:
        rehearsal.check(PATH, ModelFiles(content), limits)
    return str(refused.value)


def test_what_is_sound_passes(rehearsal):
    """One process for several files, and none for a file that is known. Why it is no model is said later."""
    for content in (onnx_models.affine(), onnx_models.echo_text(), b"nonsense", hostile_models.loop()):
        rehearsal.check(PATH, ModelFiles(content), LIMITS)
    assert repr(rehearsal) != "<Rehearsal in no process>"

    with Rehearsal() as another:
        another.check(PATH, ModelFiles(onnx_models.affine()), LIMITS)
        assert repr(another) == "<Rehearsal in no process>"


def test_a_file_that_takes_memory_to_be_loaded(rehearsal):
    """A sparse initializer of 1 GiB in a few hundred bytes; the next file has another process."""
    words = "digits/1/model.onnx: takes more than 256 MiB of memory to be loaded (`max_mem_mib`)"

    assert refusal(rehearsal, hostile_models.sparse(1 << 28)) == words
    rehearsal.check(PATH, ModelFiles(onnx_models.affine(2.5)), LIMITS)
    rehearsal.check(PATH, ModelFiles(hostile_models.sparse(1 << 20)), LIMITS)


@pytest.mark.parametrize("items", [1 << 28, 1 << 31, 1 << 40])
def test_a_file_that_takes_memory_to_run(rehearsal, items, caplog):
    """1 GiB, 8 GiB and 4 TiB that any input needs: its runs have a bound of their own, so it is loaded."""
    rehearsal.check(PATH, ModelFiles(hostile_models.sized(items)), LIMITS)

    assert "takes more than 256 MiB of memory to run one row of zeros" in caplog.text


def test_a_model_that_is_too_large_for_a_small_bound(rehearsal, caplog):
    """With a larger one it has enough, which is another question than the one that was answered."""
    content = hostile_models.sized(1 << 25)

    rehearsal.check(PATH, ModelFiles(content), ModelLimits(max_mem_mib=16))
    assert "takes more than 16 MiB" in caplog.text
    caplog.clear()
    rehearsal.check(PATH, ModelFiles(content), LIMITS)
    assert not caplog.text


def test_a_file_that_is_loaded_for_too_long(rehearsal):
    """Constants that take seconds to be computed."""
    limits = ModelLimits(startup_timeout_s=0.001, max_mem_mib=1000)
    content = onnx_models.linear(np.ones((3000, 3000), np.float32))

    assert "is not loaded within 0.001 s (`startup_timeout_s`)" in refusal(rehearsal, content, limits)


def test_a_process_that_ends(rehearsal):
    """As it would if ONNX Runtime crashed, or the kernel wanted its memory; the next check has another."""
    rehearsal.check(PATH, ModelFiles(onnx_models.affine(3.5)), LIMITS)
    process = int(repr(rehearsal).removeprefix("<Rehearsal in ").removesuffix(">"))
    os.kill(process, 9)
    time.sleep(0.1)

    assert "ends the process that loads it" in refusal(rehearsal, onnx_models.affine(4.5))
    rehearsal.check(PATH, ModelFiles(onnx_models.affine(4.5)), LIMITS)


def test_where_no_process_can_be_started(rehearsal, monkeypatch):
    """As under a limit of processes: the file is refused with the reason."""
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    assert "cannot be tried in another process: No such file" in refusal(rehearsal, onnx_models.affine(6.5))
