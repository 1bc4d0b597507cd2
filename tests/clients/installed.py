"""Clients too heavy for our own environment, each installed into one of its own below ``out/clients``.

python = python_with("kserve==0.15.2")      # a path; ClientMissing says why there is none
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "out" / "clients"
LIMIT_S = 600


class ClientMissing(Exception):  # noqa: N818 - a fact about this machine, not a mistake
    """The client cannot be installed here; the text says why."""


def python_with(package: str) -> Path:
    """Return a Python that has ``package``, of one exact version; the first time takes a minute or two."""
    folder = FOLDER / package
    python, mark = folder / "bin" / "python", folder / "installed"
    if not mark.exists():
        _run(sys.executable, "-m", "venv", "--clear", folder)
        _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
        mark.touch()
    return python


def _run(*command: object) -> None:
    try:
        subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=LIMIT_S)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ClientMissing(lines[-1]) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientMissing(str(error)) from None
