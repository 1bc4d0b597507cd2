"""Every file is loaded in a process of its own before it is loaded in the gateway's.

ONNX Runtime computes constants while it loads a file, and a loading cannot be stopped: a few hundred bytes
may take gigabytes or hours, or crash it. Here that costs a child, which is watched and ended; what it has
loaded within its bounds takes as much in the gateway. A file that was tried is not tried again.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Self

from edge_models.errors import ModelError
from edge_models.model_files import ModelFiles, write_files
from edge_models.settings import ModelLimits

_LOG: Final = logging.getLogger("edge_models.repository")

START_LIMIT_S: Final = 60.0
_LOOK_S: Final = 0.01
_TIMES_OF_FILE: Final = 4
_REMEMBERED: Final = 1024
_ENDED: Final = "ends the process that loads it"
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1 << 20

_passed: Final[dict[tuple[str, int], None]] = {}
"""Digests and bounds that go together, which is a fact of this process's ONNX Runtime and nobody's state."""


class Rehearsal:
    """One child process, which loads one file after the other; it starts when there is something to try."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def __repr__(self) -> str:
        return f"<Rehearsal in {self._child.pid if self._child is not None else 'no process'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        child, connection = self._child, self._connection
        self._child = self._connection = None
        if child is not None:
            child.kill()
            child.wait()
        if connection is not None:
            connection.close()

    def check(self, path: Path, files: ModelFiles, limits: ModelLimits) -> None:
        """Load ``files`` in the child. That it cannot be loaded is no error here: the gateway will say why.

        Raises:
            ModelError: loading it takes too much time or memory, or ends the process.
        """
        allowed = limits.max_mem_mib * _MIB + _TIMES_OF_FILE * files.size
        known = files.digest(), allowed
        if known in _passed:
            return
        try:
            child, connection = self._start()
            _send(connection, files, limits)
            grown = _watch(child, connection, limits.startup_timeout_s, allowed)
            connection.send(b".")
            is_short = _watch(child, connection, limits.startup_timeout_s, 2 * allowed)
        except _FailedError as error:
            self.close()
            raise ModelError(f"{path}: {error}") from error
        except ConnectionError as error:
            self.close()
            raise ModelError(f"{path}: {_ENDED}") from error
        except OSError as error:
            self.close()
            raise ModelError(f"{path}: cannot be tried in another process: {error.strerror}") from error
        if grown > allowed:
            raise ModelError(f"{path}: {_too_much(allowed)}")
        if is_short:
            # A bound for each run holds in the gateway as well: it costs this model's callers, nobody else.
            _LOG.warning(
                "%s: takes more than %s MiB of memory to run one row of zeros (`max_mem_mib`): its requests"
                " will be refused",
                path,
                f"{limits.max_mem_mib:,}",
            )
        if len(_passed) >= _REMEMBERED:
            _passed.clear()
        _passed[known] = None

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        if self._child is not None and self._connection is not None:
            return self._child, self._connection
        ours, theirs = socket.socketpair()
        self._connection = ours
        with theirs:
            self._child = child = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-m", "edge_models.rehearse", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        try:
            _watch(child, ours, START_LIMIT_S, None)
        except _FailedError as error:
            self.close()
            raise ModelError(f"the process that tries models out did not start: it {error}") from error
        return child, ours


class _FailedError(Exception):
    pass


def _send(connection: socket.socket, files: ModelFiles, limits: ModelLimits) -> None:
    """Send a copy that nobody can change, and what its runs may have."""
    descriptor = os.memfd_create("model", os.MFD_CLOEXEC)
    with open(descriptor, "wb") as copy:  # noqa: PTH123 - of a descriptor
        write_files(copy, files)
        copy.flush()
        os.lseek(descriptor, 0, os.SEEK_SET)
        socket.send_fds(connection, [str(limits.max_mem_mib * _MIB).encode()], [descriptor])


def _watch(
    child: subprocess.Popen[bytes], connection: socket.socket, limit_s: float, allowed: int | None
) -> int:
    """Wait for the child's next line, a number, and return it.

    Raises:
        _FailedError: in words what happened instead.
    """
    until = time.monotonic() + limit_s
    before = _resident(child.pid)
    while not select.select([connection], [], [], _LOOK_S)[0]:
        if allowed is not None and _resident(child.pid) - before > allowed:
            raise _FailedError(_too_much(allowed))
        if time.monotonic() > until:
            raise _FailedError(f"is not loaded within {limit_s:g} s (`startup_timeout_s`)")
    try:
        line = connection.recv(64)
    except OSError:
        line = b""
    if not line:
        raise _FailedError(_ENDED)
    return int(line)


def _too_much(allowed: int) -> str:
    return f"takes more than {allowed // _MIB:,} MiB of memory to be loaded (`max_mem_mib`)"


def _resident(process: int) -> int:
    """Return the memory that it takes now, in bytes; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
