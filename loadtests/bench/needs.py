"""What a case needs and this machine may lack: such a case is skipped, and says what to install."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import Final, TypeVar

from loadtests.peers.venv import NotInstallableError

PACKAGES: Final = {"wrk": "wrk", "h2load": "nghttp2-client", "taskset": "util-linux"}
"""Program → the package of Debian and Ubuntu that has it."""

T = TypeVar("T")


class MissingError(Exception):
    """Something is not here; the message says what, and how to get it."""


def programs(*names: str) -> None:
    """Make sure that these are installed.

    Raises:
        MissingError: names those that are not.
    """
    missing = [name for name in ("taskset", *names) if shutil.which(name) is None]
    if missing:
        packages = " ".join(PACKAGES[name] for name in missing)
        raise MissingError(f"not installed: {', '.join(missing)} (apt-get install {packages})")


def peer(name: str, install: Callable[[], T]) -> T:
    """Return what ``install`` does.

    Raises:
        MissingError: it cannot.
    """
    try:
        return install()
    except subprocess.CalledProcessError as error:
        reason = f": {error.stderr.strip()[-400:]}" if error.stderr else ""
        raise MissingError(
            f"{name} cannot be installed (is there a package index?): {error}{reason}"
        ) from error
    except NotInstallableError as error:
        raise MissingError(f"{name}: {error}") from error
    except OSError as error:
        raise MissingError(f"{name} cannot be installed: {error}") from error
