"""What this process, or its machine, may lack for a connection: no endpoint can be blamed for that."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

_OURS: Final = {
    errno.EMFILE: "file descriptors",
    errno.ENFILE: "file descriptors",
    errno.EADDRNOTAVAIL: "local ports",
    errno.ENOBUFS: "memory for sockets",
    errno.ENOMEM: "memory for sockets",
}


def lack(cause: BaseException | None) -> str | None:
    """Return what we lacked for a connection; None when it was not for us that it failed."""
    if isinstance(cause, socket.gaierror):
        # The resolver's errors do not show it.
        return _lack_descriptors()
    return _OURS.get(cause.errno or 0) if isinstance(cause, OSError) else None


def _lack_descriptors() -> str | None:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return _OURS.get(error.errno or 0)
    return None
