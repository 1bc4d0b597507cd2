"""The environment of a peer: made by this Python, or by an older one if the peer has no wheel for this."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_OTHERS: Final = ("python3.12", "python3.11", "python3.10")
"""Peers lag behind: what has no wheel for a new Python usually has one for these."""


_MARK: Final = "installed"


class NotInstallableError(RuntimeError):
    """No Python of this machine can install the peer; the text names it and says why."""


def install(folder: Path, requirement: str, interpreters: Iterable[tuple[str, str]] | None = None) -> None:
    """Make ``folder/venv`` with ``requirement`` in it, unless it is there; takes a minute or two.

    ``interpreters``: names and programs of the Pythons to try in this order; those of this machine else.

    Raises:
        NotInstallableError: no Python here can.
    """
    if is_installed(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    for name, program in _candidates() if interpreters is None else interpreters:
        # A half-made one is made again.
        if _run(program, "-m", "venv", "--clear", str(folder / "venv")).returncode == 0:
            pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            ended = _run(*pip, "--disable-pip-version-check", "--only-binary", ":all:", requirement)
            if ended.returncode == 0:
                (folder / "venv" / _MARK).touch()
                return
            reasons.append(f"{name}: {_reason(ended.stderr)}")
    shutil.rmtree(folder / "venv", ignore_errors=True)
    raise NotInstallableError(f"{requirement} cannot be installed: {'; '.join(reasons) or 'venv fails'}")


def is_installed(folder: Path) -> bool:
    """Return whether the peer is there, whole."""
    return (folder / "venv" / _MARK).exists()


def site_packages(folder: Path) -> Path:
    """Return where the packages of ``folder/venv`` are, or will be, whichever Python made it."""
    found = sorted((folder / "venv" / "lib").glob("python3.*"))
    return (found[0] if found else folder / "venv" / "lib" / "python3") / "site-packages"


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _candidates() -> Iterator[tuple[str, str]]:
    yield f"Python {sys.version_info.major}.{sys.version_info.minor}", sys.executable
    for name in _OTHERS:
        program = shutil.which(name)
        # pyenv has programs for versions that are not switched on; they do not start.
        if program and _run(program, "-c", "").returncode == 0:
            yield name, program


def _reason(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    if any("Requires-Python" in line for line in lines):
        return "no version for this Python"
    return lines[-1].removeprefix("ERROR: ")[:200] if lines else "is there a package index?"
