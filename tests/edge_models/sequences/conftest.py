"""A repository of models with state."""

from __future__ import annotations

import pytest

from edge_models.registry import Registry
from edge_models.settings import ModelLimits, ModelsSettings
from tests.edge_models.sequences import models

OLDEST = "oldest { } max_sequence_idle_microseconds: 5000000"
SUMS = models.CONTROLS + models.STATE


@pytest.fixture(scope="package")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, more in {
        "sums": OLDEST,
        "direct": "direct { } max_sequence_idle_microseconds: 5000000",
        "few": "oldest { max_candidate_sequences: 2 } max_sequence_idle_microseconds: 5000000",
        "small": OLDEST,
        "second": "",
        "ever": f"max_sequence_idle_microseconds: {(1 << 64) - 1}",
    }.items():
        models.write(folder, name, models.accumulator(), models.config(SUMS + more))
    no_state = "".join(
        f"{line}\n" for line in models.CONTROLS.splitlines() if "START" in line or "READY" in line
    )
    models.write(folder, "simple", models.simple_sequence(), models.config(no_state))
    output = 'output { name: "OUTPUT" data_type: TYPE_INT32 dims: [1] }'
    models.write(
        folder,
        "dyna",
        models.simple_dyna_sequence(),
        models.config(models.CONTROLS + OLDEST, more=output),
    )
    models.write(
        folder,
        "text",
        models.simple_dyna_sequence(models.STRING),
        models.config(models.TEXT_CONTROLS + models.STATE + OLDEST),
    )
    models.write(folder, "alone", models.accumulator(None), models.config(SUMS, max_batch_size=0))
    kept = 'state { input_name: "kept_in" output_name: "kept_out" data_type: TYPE_FP32 dims: [1] }'
    output = 'output {{ name: "{}" data_type: TYPE_FP32 dims: 1 }}'
    shown = output.format("value") + output.format("kept_out")
    models.write(folder, "table", models.table(), models.config(kept + OLDEST, more=shown))
    word = (
        'control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_STRING } }'
        'state { input_name: "word_in" output_name: "word_out" data_type: TYPE_STRING dims: [1] }'
    )
    models.write(folder, "words", models.words(), models.config(word + OLDEST))
    pieces = 'state { input_name: "all_in" output_name: "all_out" data_type: TYPE_FP32 dims: [-1] }'
    models.write(folder, "grower", models.grower(), models.config(pieces + OLDEST))
    return folder


@pytest.fixture(scope="package")
def settings(repository) -> ModelsSettings:
    limits = {
        "small": ModelLimits(max_sequences=4),
        "grower": ModelLimits(max_sequence_state_mib=1),
    }
    return ModelsSettings(repository=str(repository), limits=limits)


@pytest.fixture(scope="package")
def registry(settings) -> Registry:
    return Registry.load(settings)
