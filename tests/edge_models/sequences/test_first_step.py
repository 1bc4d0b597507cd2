"""A run that is nobody's step, such as one before the first request."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.errors import ModelError
from edge_models.registry import Registry
from edge_models.sequences.first_step import first_step
from edge_models.settings import ModelsSettings
from tests.edge_models.sequences import models


@pytest.mark.parametrize("rows", [0, 1, 4])
@pytest.mark.parametrize("correlation", [models.UINT64, models.STRING])
def test_a_model_runs_with_its_inputs_and_those_of_a_first_step(tmp_path, rows, correlation):
    """START is true, END is false, the states are those of the start."""
    controls = models.TEXT_CONTROLS if correlation == models.STRING else models.CONTROLS
    state = models.STATE if correlation == models.STRING else ""
    shown = 'output { name: "OUTPUT" data_type: TYPE_INT32 dims: [1] }'
    models.write(
        tmp_path,
        "dyna",
        models.simple_dyna_sequence(correlation),
        models.config(controls + state, more=shown),
    )
    model = Registry.load(ModelsSettings(repository=str(tmp_path))).get("dyna")
    assert model.sequences is not None
    inputs = np.full((max(rows, 1), 1), 5, np.int32)

    outputs = model.session.run({"INPUT": inputs, **first_step(model.sequences, rows)}, ["OUTPUT"])

    started = 5 if correlation == models.STRING else 6
    assert outputs[0].tolist() == [[started]] * max(rows, 1)


@pytest.mark.parametrize(
    ("source", "is_refused"), [("zero_data: true", False), ('input_data_file: "nine"', True)]
)
def test_a_model_with_state_is_warmed_up(tmp_path, source, is_refused):
    """Its configuration's `model_warmup` is run as a first step: where that fails the model is not loaded."""
    kept = 'state { input_name: "kept_in" output_name: "kept_out" data_type: TYPE_FP32 dims: [1] }'
    sample = f'inputs {{ key: "index" value {{ data_type: TYPE_INT64 dims: [1] {source} }} }}'
    warmup = f'model_warmup {{ name: "first" batch_size: 2 {sample} }}'
    models.write(tmp_path, "table", models.table(), models.config(kept, more=warmup))
    (tmp_path / "table" / "warmup").mkdir()
    (tmp_path / "table" / "warmup" / "nine").write_bytes(np.int64(9).tobytes())
    settings = ModelsSettings(repository=str(tmp_path))

    if is_refused:
        with pytest.raises(ModelError, match="warm-up 'first'"):
            Registry.load(settings)
    else:
        assert Registry.load(settings).get("table").sequences is not None
