"""Clients too heavy for our own environment, each in one of its own, made as its lock file says.

python = python_with("kserve")      # reads kserve.lock beside this; ClientMissing says why there is none

The environments are kept in the user's cache folder, by what the lock says and the Python that made them: a new
checkout does not install them again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).resolve().parent
LIMIT_S = 600


class ClientMissing(Exception):  # noqa: N818 - a fact about this machine, not a mistake
    """The client cannot be installed here; the text says why."""


def python_with(name: str) -> Path:
    """Return a Python that has the packages of ``NAME.lock``; the first time takes a minute or two."""
    try:
        return _python_with(name)
    except (OSError, RuntimeError) as error:
        raise ClientMissing(f"nowhere to keep it: {error}") from None


def _python_with(name: str) -> Path:
    lock = LOCKS / f"{name}.lock"
    made_by = f"{sys.version}\n{sys.base_prefix}\n"
    digest = hashlib.sha256(made_by.encode() + lock.read_bytes()).hexdigest()[:16]
    folder = _cache() / f"{name}-{digest}"
    python, mark = folder / "bin" / "python", folder / "installed"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Several test runs may want it at once.
    with Path(f"{folder}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not mark.exists():
            _run(lock, sys.executable, "-m", "venv", "--clear", folder)
            # Packages that would have to be compiled are for another Python.
            pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _run(lock, *pip, "--no-deps", "--only-binary", ":all:", "--requirement", lock)
            mark.touch()
    return python


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "edgeway" / "clients"


def _run(lock: Path, *command: object) -> None:
    try:
        subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=LIMIT_S)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ClientMissing(_reason(lock, lines)) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientMissing(str(error)) from None


def _reason(lock: Path, lines: list[str]) -> str:
    """What pip says of a pinned version that is for other Pythons only; else its last line."""
    output = "\n".join(lines)
    for pin in re.findall(r"^(?P<name>[\w.-]+)==(?P<version>\S+)$", lock.read_text(), re.MULTILINE):
        if (
            wants := re.search(rf" {re.escape(pin[1])} Requires-Python (\S+?)(;|$)", output, re.MULTILINE)
        ) and (f"{pin[0]}=={pin[1]}" in output):
            version = ".".join(map(str, sys.version_info[:2]))
            return f"{pin[0]} {pin[1]} needs Python {wants[1]}, this is {version}"
    return lines[-1]
