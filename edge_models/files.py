"""Reads files where somebody else may have put them: never a pipe, a device, or a link to elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_DESCRIPTORS: Final = Path("/proc/self/fd")
_CHUNK: Final = 1 << 24


class FileError(Exception):
    """Why a file is not read, as the rest of a sentence that begins with its path."""


def read_within(root: Path, path: Path, *, max_bytes: int) -> bytes:
    """Return the content of ``path``, a file of at most ``max_bytes`` that lies within ``root``.

    Links are followed as long as they end within ``root``, as those of a Kubernetes volume do; ``root``
    itself may be one. It waits for nobody who has the file open, and what is checked is what is read.

    Raises:
        FileError: it is no file, too large, or elsewhere.
        OSError: it cannot be opened or read.
    """
    # Before it is opened: opening a device may do something.
    _require_file(path.stat().st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        _require_file(found.st_mode)
        if not _opened(descriptor, path).is_relative_to(root.resolve()):
            raise FileError(f"lies behind a link that leads out of '{root.name}'")
        if found.st_size > max_bytes:
            raise FileError(f"has {_size(found.st_size)}, and no more than {_size(max_bytes)} are read")
        return _read(descriptor, max_bytes)
    finally:
        os.close(descriptor)


def _require_file(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        raise FileError(f"is {kind}, and not a file")


def _opened(descriptor: int, path: Path) -> Path:
    """Return where the open file lies: ``path`` may lead elsewhere a moment later."""
    try:
        return (_DESCRIPTORS / str(descriptor)).readlink()
    except OSError:  # no /proc
        return path.resolve()


def _read(descriptor: int, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    left = max_bytes + 1
    while left and (chunk := os.read(descriptor, min(left, _CHUNK))):
        chunks.append(chunk)
        left -= len(chunk)
    if not left:
        raise FileError(f"grows while it is read, beyond {_size(max_bytes)}")
    return b"".join(chunks)


def _size(count: int) -> str:
    return f"{count >> 20:,} MiB" if count >= 1 << 20 else f"{count:,} bytes"
