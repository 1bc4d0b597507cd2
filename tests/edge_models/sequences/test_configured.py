"""A model's sequences by the configuration beside it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.errors import ModelError
from edge_models.registry import Registry
from edge_models.sequences.configured import batching_of
from edge_models.sequences.settings import SequenceSettings
from edge_models.settings import BatchingSettings, ModelsSettings
from tests.edge_models.sequences import models

STATE = 'state { input_name: "sum_in" output_name: "sum_out" data_type: TYPE_INT32 dims: [1] MORE }'
FILE = 'initial_state { name: "s" data_type: TYPE_INT32 dims: [1] data_file: "seven" }'


def load(repository, name="sums"):
    return Registry.load(ModelsSettings(repository=str(repository))).get(name)


def test_a_model_without_such_a_configuration_has_no_sequences(tmp_path):
    """All of the graph's inputs are requests'."""
    models.write(tmp_path, "sums", models.accumulator(), "max_batch_size: 8")

    found = load(tmp_path)

    assert found.sequences is None
    assert "START" in {tensor.name for tensor in found.spec.inputs}


def test_outputs_are_those_that_are_declared(tmp_path):
    """In their order; a state may be among them. Where none is declared: all that are no states."""
    text = models.CONTROLS + STATE.replace("MORE", "")
    shown = "".join(
        f'output {{ name: "{name}" data_type: TYPE_INT32 dims: [1] }}' for name in ("sum_out", "OUTPUT")
    )
    models.write(tmp_path, "some", models.accumulator(), models.config(text, more=shown))
    models.write(tmp_path, "sums", models.accumulator(), models.config(text))

    some, all_of_them = load(tmp_path, "some").spec, load(tmp_path).spec

    assert [output.name for output in some.outputs] == ["sum_out", "OUTPUT"]
    assert [output.name for output in all_of_them.outputs] == ["OUTPUT", "FLAGS", "ID"]


def test_an_initial_state_comes_from_its_folder(tmp_path):
    """`initial_state` beside `config.pbtxt`."""
    text = models.CONTROLS + STATE.replace("MORE", FILE)
    models.write(tmp_path, "sums", models.accumulator(), models.config(text))
    (tmp_path / "sums" / "initial_state").mkdir()
    (tmp_path / "sums" / "initial_state" / "seven").write_bytes(np.int32(7).tobytes())

    found = load(tmp_path).sequences

    assert found is not None
    assert found.states[0].initial.tolist() == [[7]]


@pytest.mark.parametrize("kind", ["missing", "link"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, kind):
    """One outside of the repository is not read either."""
    repository = tmp_path / "models"
    models.write(
        repository,
        "sums",
        models.accumulator(),
        models.config(models.CONTROLS + STATE.replace("MORE", FILE)),
    )
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(b"1234")
        (repository / "sums" / "initial_state").mkdir()
        (repository / "sums" / "initial_state" / "seven").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ModelError, match=r"sums/config.pbtxt:3: sequence_batching: initial_state/seven: .*"):
        load(repository)


def test_what_cannot_be_obeyed_has_its_line(tmp_path):
    """The line at which `sequence_batching` begins."""
    models.write(tmp_path, "sums", models.accumulator(), models.config("iterative_sequence: true"))

    with pytest.raises(ModelError, match=r"sums/config.pbtxt:3: sequence_batching.iterative_sequence"):
        load(tmp_path)


def test_steps_wait_as_the_configuration_says():
    """Its preferred sizes, as far as batches may have them, and its delay; the rest is as before."""
    sequences = SequenceSettings(preferred_batch_size=(2, 8), max_queue_delay_microseconds=5)

    found = batching_of(sequences, BatchingSettings(max_batch_size=4, max_queue_size=9))

    assert (found.preferred_batch_size, found.max_queue_delay_microseconds) == ((2,), 5)
    assert (found.max_batch_size, found.max_queue_size) == (4, 9)
