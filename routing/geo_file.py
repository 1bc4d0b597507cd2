"""A whole file in memory that nobody else can write to.

A MaxMind DB that is mapped from its file ends the process when somebody writes over that file: pages that
were there are gone (SIGBUS). So the file is copied into memory that is sealed, and the reader in C maps the
copy: it is as quick as a mapped file. Where there are no sealed memory files (they are Linux's) the copy is
bytes, and the reader in Python answers from them, which takes ten times as long.
"""

from __future__ import annotations

import fcntl
import io
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import maxminddb

MOST_BYTES: Final = 1 << 30
"""The largest databases there are take half of it."""

_CHUNK_BYTES: Final = 1 << 24


class GeoFileError(Exception):
    """A file that is none, or not whole; the message says which."""


class FileSignature(NamedTuple):
    """What changes when a file is replaced or written to."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class MemoryFile(NamedTuple):
    """What a reader opens, and how: ``source`` and ``mode`` of ``maxminddb.open_database``."""

    source: str | BinaryIO
    mode: int

    def content(self) -> mmap.mmap | memoryview:
        """Return all of it; what is mapped shares its pages with every other reader."""
        if isinstance(self.source, io.BytesIO):
            return self.source.getbuffer()
        assert isinstance(self.source, str), "it is one of both"
        with Path(self.source).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def file_signature(path: Path) -> FileSignature | None:
    """Return what marks the file at ``path`` as it is now; None: there is none."""
    try:
        return _signature_of(path.stat())
    except OSError:
        return None


@contextmanager
def in_memory(path: Path) -> Iterator[MemoryFile]:
    """Copy the file at ``path``; the copy can be opened in this context and outlives it in what was opened.

    Raises:
        OSError: it cannot be read.
        GeoFileError: it is no regular file, too large, or was written to meanwhile.
    """
    # Opening a FIFO would wait for a writer.
    original = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.fstat(original)
        if not stat.S_ISREG(before.st_mode):
            raise GeoFileError("is not a regular file")
        if before.st_size > MOST_BYTES:
            raise GeoFileError(f"is larger than {MOST_BYTES >> 20} MiB")
        with _copied(original, before.st_size) as copy:
            if _signature_of(os.fstat(original)) != _signature_of(before):
                raise GeoFileError("is being written to")
            yield copy
    finally:
        os.close(original)


@contextmanager
def _copied(original: int, size: int) -> Iterator[MemoryFile]:
    sealed = _sealed(original, size)
    if sealed is None:
        with os.fdopen(os.dup(original), "rb") as file:
            yield MemoryFile(io.BytesIO(file.read(size)), maxminddb.MODE_FD)
        return
    try:
        yield MemoryFile(f"/proc/self/fd/{sealed}", maxminddb.MODE_AUTO)
    finally:
        os.close(sealed)


def _sealed(original: int, size: int) -> int | None:
    """Return a descriptor of a sealed copy; None where the system has none such."""
    if not hasattr(os, "memfd_create") or not Path("/proc/self/fd").is_dir():
        return None
    copy = os.memfd_create("geo", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with suppress(OSError):
        while (done := os.lseek(copy, 0, os.SEEK_CUR)) < size:
            if not os.sendfile(copy, original, done, min(size - done, _CHUNK_BYTES)):
                break
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
        return copy
    os.close(copy)
    return None


def _signature_of(found: os.stat_result) -> FileSignature:
    return FileSignature(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
