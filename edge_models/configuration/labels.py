"""The names of classes: `label_filename` of an output, a file beside `config.pbtxt` with one on each line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge_models.configuration.model_configuration import ModelConfiguration
from edge_models.errors import ModelError
from edge_models.files import FileError, read_within
from gateway.core.errors import printable

MOST_BYTES: Final = 4 << 20
MOST_LABELS: Final = 1 << 18


def read_labels(
    config: ModelConfiguration | None, repository: Path, folder: Path
) -> dict[str, tuple[str, ...]]:
    """Return the labels of each output for which the configuration of a model's ``folder`` names a file.

    Raises:
        ModelError: a file cannot be read, or is no such file; with the line that names it.
    """
    if config is None:
        return {}
    return {
        output.name: _labels(
            repository, folder, output.label_filename, config.where(("output", place), "label_filename")
        )
        for place, output in enumerate(config.outputs)
        if output.label_filename
    }


def _labels(repository: Path, folder: Path, file: str, where: str) -> tuple[str, ...]:
    named = printable(file)
    if "\0" in file or Path(file).is_absolute() or ".." in Path(file).parts:
        raise ModelError(f"{where}: label_filename must be a file in the model's folder")
    try:
        content = read_within(repository, folder / file, max_bytes=MOST_BYTES)
        text = content.decode().removeprefix("\ufeff")
    except FileError as error:
        raise ModelError(f"{where}: label_filename '{named}' {error}") from error
    except OSError as error:
        raise ModelError(f"{where}: label_filename '{named}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{where}: label_filename '{named}' is not UTF-8") from error
    # Not splitlines: only a line feed ends a line here.
    labels = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []
    if len(labels) > MOST_LABELS:
        raise ModelError(f"{where}: label_filename '{named}' has more than {MOST_LABELS:,} lines")
    return tuple(labels)
