"""A model file, and the files beside it in which it keeps weights: read once, within bounds, into memory.

ONNX names such a file in each tensor that lies in it (``external_data``, ``location``). Models of more than
2 GiB must have some; only what lies in the model file's own folder is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

import msgspec

from edge_models.errors import ModelError
from edge_models.files import FileError, read_within
from gateway.core.errors import printable

MOST_FILES: Final = 4096
"""Files that one model may keep weights in: exporters that write one for each tensor make hundreds."""

_MARK: Final = b"\x0a\x08location\x12"
"""How a protobuf entry with the key ``location`` begins; the length of the value and the value follow."""
_MOST_LENGTH: Final = 4096


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What a model is made of.

    ``external``: files with weights, by the name that the model has for them.
    ``refused``: a sentence for each that it names and that is not read.
    """

    content: bytes
    external: Mapping[str, bytes] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<ModelFiles {self.size >> 10:,} KiB in {1 + len(self.external)} files>"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return len(self.content) + sum(map(len, self.external.values()))

    def digest(self) -> str:
        """Return the SHA-256 of the file; with others, that of all their names and digests."""
        whole = hashlib.sha256(self.content)
        if self.external:
            parts = [whole.digest()]
            for name, content in sorted(self.external.items()):
                parts += [hashlib.sha256(name.encode()).digest(), hashlib.sha256(content).digest()]
            whole = hashlib.sha256(b"".join(parts))
        return f"sha256:{whole.hexdigest()}"


def read_model_files(root: Path, path: Path, *, max_bytes: int) -> ModelFiles:
    """Read the model at ``path`` and the files with its weights; ``max_bytes``: of all of them.

    Raises:
        ModelError: the file is none, too large, or lies behind a link that leads out of ``root``.
    """
    return with_weights(root, path, _content(root, path, max_bytes), max_bytes=max_bytes)


def with_weights(root: Path, path: Path, content: bytes, *, max_bytes: int) -> ModelFiles:
    """Return the model at ``path``, which has ``content``, with the files beside it that have its weights.

    ``root``: what links may not lead out of.

    Raises:
        ModelError: they are too many, or too large.
    """
    external: dict[str, bytes] = {}
    refused: list[str] = []
    left = max_bytes - len(content)
    for name in _locations(path, content):
        fault = _fault(name)
        if not fault:
            try:
                external[name] = read_within(root, path.parent / name, max_bytes=max(0, left))
                left -= len(external[name])
                continue
            except FileError as error:
                fault = str(error)
            except OSError as error:
                fault = f"cannot be read: {error.strerror}"
        refused.append(f"'{printable(name)}' {fault}")
    return ModelFiles(content, external, tuple(refused))


def write_files(stream: BinaryIO, files: ModelFiles) -> None:
    """Write ``files`` for another process: what each is, and how long, then one after the other."""
    sizes = [("", len(files.content)), *((name, len(each)) for name, each in files.external.items())]
    head = msgspec.msgpack.encode(sizes)
    stream.write(len(head).to_bytes(8, "big") + head)
    stream.writelines((files.content, *files.external.values()))


def read_files(stream: BinaryIO) -> ModelFiles:
    """Read what ``write_files`` wrote."""
    head = stream.read(int.from_bytes(stream.read(8), "big"))
    sizes = msgspec.msgpack.decode(head, type=list[tuple[str, int]])
    contents = {name: stream.read(size) for name, size in sizes}
    return ModelFiles(contents.pop(""), contents)


def _content(root: Path, path: Path, max_bytes: int) -> bytes:
    try:
        return read_within(root, path, max_bytes=max_bytes)
    except FileError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _locations(path: Path, content: bytes) -> list[str]:
    """Return the names that follow the key ``location``, each once.

    The bytes of a weight may look like one: ONNX Runtime decides which it needs.
    """
    names: dict[str, None] = {}
    at = content.find(_MARK)
    while at >= 0:
        at += len(_MARK)
        length, begin = _length(content, at)
        if 0 < length <= _MOST_LENGTH:
            with suppress(UnicodeDecodeError):
                names[content[begin : begin + length].decode()] = None
            if len(names) > MOST_FILES:
                raise ModelError(f"{path}: keeps weights in more than {MOST_FILES:,} files: save it with one")
        at = content.find(_MARK, at)
    return list(names)


def _length(content: bytes, at: int) -> tuple[int, int]:
    first, second = content[at : at + 1], content[at + 1 : at + 2]
    if not first or not first[0] & 0x80:
        return (first[0] if first else 0), at + 1
    return ((first[0] & 0x7F) | (second[0] << 7) if second else 0), at + 2


def _fault(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        return "leads out of the model's folder"
    return "" if name.isprintable() and path.parts else "is no name of a file"
