"""Failures to connect for want of this machine's own resources: they say nothing about the endpoint."""

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
    """Return the resource of this machine that was missing; None when the failure has another cause."""
    if isinstance(cause, socket.gaierror):
        # An error of the resolver does not say whether descriptors were missing.
        return _lack_descriptors()
    return _OURS.get(cause.errno or 0) if isinstance(cause, OSError) else None


def _lack_descriptors() -> str | None:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return _OURS.get(error.errno or 0)
    return None
