"""Reading the files of a secret or a certificate: whole, small, and never waited for."""

from __future__ import annotations

import os
import stat
from typing import Final

MAX_BYTES: Final = 1 << 20
"""More is no bundle of certificates, and no token."""


class OwnFileError(Exception):
    """A file of this machine cannot be used; the message names it and says why, and quotes nothing of it."""


def read_small(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return what is in ``path``; it blocks, as long as a disk does.

    Raises:
        OwnFileError: it is not there, may not be read, is no file, is empty, or larger than ``limit``.
    """
    try:
        # Without O_NONBLOCK opening a named pipe would wait for whoever writes it.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise OwnFileError(f"{path}: cannot be read: {why}") from None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OwnFileError(f"{path}: is no file")
        with os.fdopen(file, "rb", closefd=False) as opened:
            content = opened.read(limit + 1)
    except OSError as error:
        raise OwnFileError(f"{path}: cannot be read: {error.strerror}") from None
    finally:
        os.close(file)
    if len(content) > limit:
        raise OwnFileError(f"{path}: has more than {limit} bytes, which is too large for what it should hold")
    if not content.strip():
        raise OwnFileError(f"{path}: is empty")
    return content
