"""Writes lines to a file in a thread, in batches. Whoever adds a line never waits, and nothing can fail.

Several processes may write one file: a batch is appended under a lock of the file, and whoever finds it full
moves it aside. What cannot be written is counted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

MOST_WAITING: Final = 50_000
"""Lines that wait for the thread; what comes beyond is lost."""
EVERY_S: Final = 1.0
_BATCH: Final = 5_000
_LONGEST_END_S: Final = 5.0
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW

Item = TypeVar("Item")


class LogWriter(Generic[Item]):
    """Writes ``file``, and ``file.1`` when it is full: ``max_bytes`` of both. ``encode`` makes a line."""

    def __init__(
        self, file: Path, max_bytes: int, encode: Callable[[Item], bytes], *, every_s: float = EVERY_S
    ) -> None:
        self._file, self._most = file, max_bytes // 2
        self._encode, self._every_s = encode, every_s
        self._waiting: deque[Item] = deque()
        self._refused = self._unwritten = 0
        self._stops = threading.Event()
        self._thread = threading.Thread(target=self._run, name="request log", daemon=True)

    def __repr__(self) -> str:
        return f"<LogWriter {self._file}, {len(self._waiting)} lines wait, {self.lost} lost>"

    @property
    def lost(self) -> int:
        """Lines that were not written, since the start."""
        return self._refused + self._unwritten

    def start(self) -> None:
        """Open the file once, to see whether it can be, and start the thread.

        Raises:
            OSError: it cannot.
        """
        os.close(_open(self._file))
        self._thread.start()

    def add(self, item: Item) -> None:
        """Have ``item`` written, within a second or so."""
        if len(self._waiting) >= MOST_WAITING:
            self._refused += 1
        else:
            self._waiting.append(item)

    def close(self) -> None:
        """Write what waits and end the thread."""
        self._stops.set()
        if self._thread.ident is not None:
            self._thread.join(_LONGEST_END_S)

    def _run(self) -> None:
        while not self._stops.wait(self._every_s):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while self._waiting:
            # Only this thread takes from it.
            items = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._write([self._encode(item) for item in items])

    def _write(self, lines: Sequence[bytes]) -> None:
        """Write lines in parts, each of which fits the file."""
        begin = size = 0
        for place, line in enumerate(lines):
            if size and size + len(line) > self._most:
                self._write_part(lines[begin:place])
                begin, size = place, 0
            size += len(line)
        self._write_part(lines[begin:])

    def _write_part(self, lines: Sequence[bytes]) -> None:
        try:
            append(self._file, b"".join(lines), self._most)
        except OSError:
            self._unwritten += len(lines)


def append(file: Path, data: bytes, most: int) -> None:
    """Append ``data`` as a whole to ``file``, which is moved to ``file.1`` before it exceeds ``most`` bytes.

    Raises:
        OSError: it cannot be, and the file is as it was.
    """
    opened = _open(file)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        if not _is(file, opened) or 0 < os.fstat(opened).st_size > most - len(data):
            if _is(file, opened):
                # Whoever waits for the lock finds that this is no longer the file.
                file.replace(f"{file}.1")
            fresh = _open(file)
            os.close(opened)
            opened = fresh
            fcntl.flock(opened, fcntl.LOCK_EX)
        before = os.fstat(opened).st_size
        if os.write(opened, data) != len(data):
            # Half a line would spoil the next one.
            os.ftruncate(opened, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    finally:
        os.close(opened)


def _open(file: Path) -> int:
    opened = os.open(file, _FLAGS, 0o600)
    if stat.S_ISREG(os.fstat(opened).st_mode):
        return opened
    os.close(opened)
    raise OSError(errno.EINVAL, "it is no regular file", str(file))


def _is(file: Path, opened: int) -> bool:
    """Whether ``opened`` is what has the name now: another process may have moved it."""
    try:
        return os.path.samestat(file.stat(), os.fstat(opened))
    except FileNotFoundError:
        return False
