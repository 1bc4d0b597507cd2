"""A model's sequences as the configuration beside it orders them, and the model as requests see it then."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from edge_models.configuration.model_configuration import ModelConfiguration
from edge_models.errors import ModelError
from edge_models.files import FileError, read_within
from edge_models.sequences.reading import read_sequence_settings
from edge_models.sequences.settings import SequenceSettings
from edge_models.settings import BatchingSettings
from gateway.core.catalog import ModelSpec
from gateway.core.errors import printable

FOLDER: Final = "initial_state"
"""Beside `config.pbtxt`: the folder with the files of initial states."""

_MOST_MESSAGE: Final = 1000


def configured_sequences(
    config: ModelConfiguration | None, graph: ModelSpec, repository: Path, folder: Path
) -> SequenceSettings | None:
    """Return how the sequences of a model of ``folder`` are run; None: it has none.

    ``graph``: all inputs and outputs of the file.

    Raises:
        ModelError: the configuration cannot be obeyed; with its line.
    """
    if config is None or config.sequence_batching is None:
        return None
    try:
        return read_sequence_settings(
            config.sequence_batching,
            graph.inputs,
            graph.outputs,
            max_batch_size=config.max_batch_size,
            read_file=partial(_read, repository, folder / FOLDER),
        )
    except ModelError as error:
        sentence = printable(str(error), _MOST_MESSAGE)
        raise ModelError(f"{folder}/{config.where('sequence_batching')}: {sentence}") from error


def without_hidden(
    graph: ModelSpec, sequences: SequenceSettings | None, config: ModelConfiguration | None
) -> ModelSpec:
    """Return the model as requests see it: without controls and states.

    Its outputs are those that the configuration declares, which may be states too; where it declares none,
    all that are no states.
    """
    if sequences is None:
        return graph
    outputs = {spec.name: spec for spec in graph.outputs}
    declared = [output.name for output in config.outputs] if config is not None else []
    hidden, states = sequences.hidden_inputs(), sequences.state_outputs()
    return ModelSpec(
        graph.name,
        graph.versions,
        graph.platform,
        tuple([spec for spec in graph.inputs if spec.name not in hidden]),
        tuple([outputs[name] for name in declared or [each for each in outputs if each not in states]]),
    )


def batching_of(sequences: SequenceSettings, settings: BatchingSettings) -> BatchingSettings:
    """Return how steps of several sequences are put together: as the sequences' settings have it."""
    preferred = sequences.preferred_batch_size
    return msgspec.structs.replace(
        settings,
        preferred_batch_size=tuple([size for size in preferred if size <= settings.max_batch_size]),
        max_queue_delay_microseconds=sequences.max_queue_delay_microseconds,
    )


def _read(repository: Path, folder: Path, name: str, max_bytes: int) -> bytes:
    try:
        return read_within(repository, folder / name, max_bytes=max_bytes)
    except FileError as error:
        raise ModelError(f"sequence_batching: {FOLDER}/{name}: {error}") from error
    except OSError as error:
        raise ModelError(f"sequence_batching: {FOLDER}/{name}: cannot be read: {error.strerror}") from error
