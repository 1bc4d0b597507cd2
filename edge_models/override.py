"""What an order to load has in place of the repository's own: a configuration, and files of a folder."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from edge_models.configuration.model_configuration import ModelConfiguration
from edge_models.configuration.reading import parse_json
from edge_models.errors import ModelError
from gateway.core.errors import printable
from gateway.core.request import Parameter

CONFIG: Final = "config"
FILE: Final = "file:"
MOST_FILES: Final = 1024
_MOST_PATH: Final = 255
_PIECE: Final = 1 << 18
"""Characters of base64: any number of whole fours."""


@dataclass(frozen=True, slots=True)
class Override:
    """What holds until the model is loaded again. ``files``: by their paths in the model's folder."""

    config: ModelConfiguration
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Override of {self.config.name or 'the configuration'}, {len(self.files)} files>"


def read_override(parameters: Mapping[str, Parameter | bytes]) -> Override | None:
    """Return what the ``parameters`` of an order to load say; None where there are none.

    ``config``: JSON; ``file:1/model.onnx``: bytes, or text in base64. Files come with a configuration, and
    are then all that the model has.

    Raises:
        ModelError: another parameter, files without a configuration, or what cannot be read.
    """
    unknown = [name for name in parameters if name != CONFIG and not name.startswith(FILE)]
    if unknown:
        named = ", ".join(f"'{printable(name)}'" for name in unknown[:4])
        raise ModelError(
            f"parameters {named} are not supported: an order to load has 'config' and 'file:PATH'"
        )
    if not parameters:
        return None
    config = parameters.get(CONFIG)
    if config is None:
        raise ModelError("a file override needs a configuration override: give 'config', too")
    if not isinstance(config, str | bytes):
        raise ModelError("config: must be JSON in a text")
    if len(parameters) - 1 > MOST_FILES:
        raise ModelError(f"has more than {MOST_FILES} files")
    files = {
        _path(name.removeprefix(FILE)): _content(name, value)
        for name, value in parameters.items()
        if name != CONFIG
    }
    return Override(parse_json(config), files)


@contextmanager
def placed(repository: Path, name: str, override: Override | None) -> Iterator[Path]:
    """Yield the model's folder: the repository's, or one that has the files of ``override`` and no others."""
    if override is None or not override.files:
        yield repository / name
        return
    with _temporary_folder() as place:
        folder = Path(place).resolve() / name
        folder.mkdir()
        for path, content in override.files.items():
            file = folder / path
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            except OSError as error:
                raise ModelError(f"{FILE}{printable(path)}: cannot be written: {error.strerror}") from error
        try:
            yield folder
        except ModelError as error:
            raise type(error)(str(error).replace(f"{folder.parent}/", "")) from error


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="edgeway-model-")
    except OSError as error:
        raise ModelError(
            f"the files of an order need a folder for a moment: {error.strerror}; name one in TMPDIR"
        ) from error


def _path(text: str) -> str:
    path = PurePosixPath(text)
    is_within = not path.is_absolute() and ".." not in path.parts and path.parts
    if not is_within or not text.isprintable() or "\\" in text or len(text) > _MOST_PATH:
        raise ModelError(f"{FILE}{printable(text)}: is no path of a file in a model's folder")
    return str(path)


def _content(name: str, value: Parameter | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ModelError(f"{printable(name)}: must be the file's content")
    try:
        return _decoded(value)
    except ValueError as error:
        raise ModelError(f"{printable(name)}: is not base64") from error


def _decoded(text: str) -> bytes:
    if "=" in text[:-2]:
        raise ValueError("something follows its end")
    # In pieces: what is one call keeps the interpreter lock, and with it the event loop, until it ends.
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    return b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
