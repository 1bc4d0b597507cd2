"""The child process of ``edge_models.rehearsal``: loads every file that comes, and says what that took.

It is the one to be ended when the machine has no memory left, and the gateway's requests go before it.
"""

from __future__ import annotations

import math
import os
import resource
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from edge_models.errors import ModelError
from edge_models.model_files import ModelFiles, read_files
from edge_models.onnxruntime_errors import is_about_memory
from edge_models.session import Session, StoppableRun
from gateway.core.errors import GatewayError
from gateway.core.tensor import BYTES, DATATYPES, Array

_OWN: Final = Path("/proc/self")
_NICE: Final = 10
_RUN_S: Final = 1.0
_MOST_ITEM: Final = 8


def main(descriptor: int) -> None:
    """Serve the parent at the other end of ``descriptor`` until it leaves."""
    with suppress(OSError):
        (_OWN / "oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)
    with socket.socket(fileno=descriptor) as connection:
        connection.send(b"0")
        while True:
            max_mem, files, _, _ = socket.recv_fds(connection, 32, 1)
            if not files:
                return
            with open(files[0], "rb") as file:  # noqa: PTH123 - of a descriptor
                received = read_files(file)
            _rehearse(connection, received, int(max_mem))


def _rehearse(connection: socket.socket, files: ModelFiles, max_mem: int) -> None:
    """Load and run a model; send how much memory loading it took, then whether its run has too little."""
    before = _begin()
    session = None
    with suppress(ModelError):
        session = Session(Path("model"), files, max_mem_bytes=max_mem)
    connection.send(str(max(0, _peak() - before)).encode())
    connection.recv(1)
    connection.send(b"1" if session is not None and _lacks_memory(session, max_mem) else b"0")


def _lacks_memory(session: Session, max_mem: int) -> bool:
    """Whether even one row of zeros takes too much memory; all else that is wrong depends on values."""
    shapes = {spec.name: [max(1, size) for size in spec.shape] for spec in session.inputs}
    items = sum(math.prod(shape) for shape in shapes.values())
    if any(spec.datatype == BYTES for spec in session.inputs) or items * _MOST_ITEM > max_mem:
        return False
    feed: dict[str, Array] = {
        spec.name: np.zeros(shapes[spec.name], DATATYPES[spec.datatype]) for spec in session.inputs
    }
    run = StoppableRun(session)
    timer = threading.Timer(_RUN_S, run.stop)
    timer.start()
    try:
        run(feed)
    except GatewayError as error:
        return is_about_memory(error)
    finally:
        timer.cancel()
    return False


def _begin() -> int:
    """Forget the peak of memory so far; return what is taken now, in bytes."""
    with suppress(OSError):
        (_OWN / "clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    with suppress(OSError):
        for line in (_OWN / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) << 10
    return 0


if __name__ == "__main__":
    main(int(sys.argv[1]))
