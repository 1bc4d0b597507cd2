"""The versions that a model's folder has: folders with a number as their name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from edge_models.configuration.model_configuration import ModelConfiguration
from edge_models.configuration.remarks import Remark
from edge_models.errors import ModelError
from gateway.core.errors import printable

# As Triton has it: other folders beside the versions are left alone.
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")
_NUMBER: Final = re.compile(r"[-+]?[0-9]+")


def versions_in(folder: Path) -> list[str]:
    """Return the versions that ``folder`` has, the lowest first."""
    return sorted((path.name for path in entries(folder) if _VERSION.fullmatch(path.name)), key=int)


def version_remarks(
    folder: Path, versions: Sequence[str], config: ModelConfiguration | None
) -> Iterator[Remark]:
    """Yield what of ``folder`` looks like a version and is none, and which versions it should have.

    ``versions``: those that it has.
    """
    for path in entries(folder):
        if _NUMBER.fullmatch(path.name) and path.name not in versions and path.is_dir():
            sentence = "is no version, and left alone: one is a number from 1 on, of at most 18 digits"
            yield Remark("warning", printable(path.name), f"{sentence}, without zeros before it")
    for version in (config and config.version_policy.specific) or ():
        if str(version) not in versions and config is not None:
            sentence = f"version {version} is specified, and its folder is not there"
            yield Remark("warning", config.where("version_policy", "specific", "versions"), sentence)


def entries(folder: Path) -> list[Path]:
    """Return what is in ``folder``.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read: {error.strerror}") from error
