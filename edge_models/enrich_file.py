"""The file ``enrich.json`` of a model's folder: which of its inputs an online store fills.

It stands beside `config.pbtxt`, or alone in the folder of a model that only the central tier has. What it
says is compared with the model's own inputs where the model is here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from edge_models.errors import ModelError
from edge_models.files import FileError, read_within
from gateway.core.catalog import ModelSpec
from gateway.core.errors import printable
from gateway.core.features import EnrichedInput, EnrichFile
from gateway.core.spelling import unknown

ENRICH_FILE: Final = "enrich.json"
_MOST_BYTES: Final = 16 << 20
_MOST_MESSAGE: Final = 500


def read_enriched(root: Path, folder: Path) -> tuple[EnrichedInput, ...]:
    """Return what the file of ``folder``, which lies within ``root``, declares; nothing where there is none.

    Raises:
        ModelError: it cannot be used; says which field.
    """
    path = folder / ENRICH_FILE
    try:
        content = read_within(root, path, max_bytes=_MOST_BYTES)
    except FileNotFoundError:
        return ()
    except FileError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=EnrichFile).enrich
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ModelError(f"{path}: {printable(str(error), _MOST_MESSAGE)}") from error


def check_enriched(folder: Path, enriched: Iterable[EnrichedInput], spec: ModelSpec) -> None:
    """Check that a model has the inputs that ``enriched`` fills, and takes the keys that are passed on.

    Raises:
        ModelError: names the entry that does not fit, and what the model has.
    """
    inputs = {each.name: each for each in spec.inputs}
    for each in enriched:
        found = inputs.get(each.input)
        if found is None:
            raise ModelError(f"{folder / ENRICH_FILE}: {unknown('input', each.input, inputs)}")
        if found.datatype != "FP32" or not found.shape or found.shape[-1] not in {-1, each.elements}:
            raise ModelError(
                f"{folder / ENRICH_FILE}: input '{each.input}' is {found.datatype} {list(found.shape)}, and "
                f"is to be filled with vectors of {each.elements} FP32 elements"
            )
        key = inputs.get(each.key)
        if each.pass_on and (key is None or key.datatype != each.datatype):
            has = "has no such input" if key is None else f"has it as {key.datatype}"
            raise ModelError(
                f"{folder / ENRICH_FILE}: key '{each.key}' is to be passed on as {each.datatype}, and the "
                f"model {has}"
            )
        if not each.pass_on and key is not None:
            raise ModelError(
                f"{folder / ENRICH_FILE}: key '{each.key}' is an input of the model: say \"pass_on\": true"
            )
