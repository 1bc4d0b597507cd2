"""The virtual environment of the interpreter that runs this: where it is, and making it.

    python3.12 .ci/environment.py folder            prints .venv, or .venv-3.12.1 where .venv is another's
    python3.12 .ci/environment.py make FOLDER test bench
                                                    makes FOLDER with these extras, unless it is there

An environment that another interpreter made, that was left half made, that was made in another checkout, or
whose Python does not start any more is never used: it is made again, and a line says why. Only the standard
library is needed, and the syntax is old, so that an old Python gets a sentence instead of a traceback.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
STAMP = "installed"
PINS = ("pyproject.toml", "constraints.txt")
PARTS = {"bin", "include", "lib", "lib64"}
PROBE = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


def interpreter() -> dict[str, str]:
    """Return what tells this interpreter from others: its version and build, and where it really is."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    build = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    version = ".".join(map(str, sys.version_info[:3]))
    return {"version": version + build, "executable": str(Path(base).resolve())}


def stamp_of(folder: Path) -> dict:
    """Return what the stamp in ``folder`` says; nothing for an environment that is half made, or none."""
    try:
        said = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def is_alive(folder: Path) -> bool:
    """Tell whether the environment's Python starts and is of the version that made it."""
    try:
        said = subprocess.check_output(
            [str(folder / "bin" / "python"), "-c", PROBE], stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return said.decode().strip() == stamp_of(folder).get("interpreter", {}).get("version", "").rstrip("t")


def folder_for(root: Path) -> str:
    """Return the folder for this interpreter: ``.venv``, unless that is in use by another one."""
    usual, mine = root / ".venv", interpreter()
    owner = stamp_of(usual).get("interpreter")
    return ".venv" if owner in (None, mine) or not is_alive(usual) else f".venv-{mine['version']}"


def wanted(root: Path) -> dict[str, object]:
    """Return what a stamp must say, but for the extras."""
    pins = b"".join((root / name).read_bytes() for name in PINS)
    return {"interpreter": interpreter(), "checkout": str(root), "pins": hashlib.sha256(pins).hexdigest()}


def is_ours_to_clear(folder: Path) -> bool:
    """Tell whether nothing but a virtual environment, whole or half made, would be lost with ``folder``."""
    if not folder.is_dir() or (folder / "pyvenv.cfg").exists():
        return True
    return {each.name for each in folder.iterdir()} <= PARTS


def why_anew(folder: Path, want: dict) -> str:
    """Return why the environment in ``folder`` cannot be used as it is, "" when it can."""
    stamp = stamp_of(folder)
    if not stamp:
        return "it was left half made" if folder.exists() else "there is none"
    made_by = stamp.get("interpreter", {})
    if made_by != want["interpreter"]:
        return f"it is of Python {made_by.get('version')} ({made_by.get('executable')})"
    if stamp.get("checkout") != want["checkout"]:
        return f"it is of another checkout, {stamp.get('checkout')}"
    return "" if is_alive(folder) else "its Python does not start any more"


def begin(folder: Path, version: str, reason: str) -> int:
    """Make an empty environment; return the exit code."""
    name = folder.name
    if not is_ours_to_clear(folder):
        print(f"{folder} is no virtual environment: name another one, make VENV=...", file=sys.stderr)
        return 1
    if folder.exists():
        print(f"{name} is made again for Python {version}: {reason}")
    print(f"making {name} with Python {version} (the first time takes a minute or two)", flush=True)
    code = subprocess.call([sys.executable, "-m", "venv", "--clear", str(folder)])
    if code:
        print(
            "no virtual environment could be made; Debian and Ubuntu: apt-get install python3-venv",
            file=sys.stderr,
        )
    return code


def make(folder: Path, extras: list[str]) -> int:
    """Make the environment or bring it up to date; return the exit code."""
    want = wanted(ROOT)
    reason = why_anew(folder, want)
    stamp = {} if reason else stamp_of(folder)
    have = sorted({*extras, *stamp.get("extras", [])})
    if stamp.get("pins") == want["pins"] and stamp.get("extras") == have:
        return 0
    if reason:
        code = begin(folder, want["interpreter"]["version"], reason)
        if code:
            return code
    else:
        print(f"bringing {folder.name} up to date: {', '.join(have)}", flush=True)
        # From here to the new stamp it counts as half made.
        (folder / STAMP).unlink()
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--constraint", "constraints.txt", "--editable", f".[{','.join(have)}]"]
    code = subprocess.call(pip, cwd=str(ROOT))
    if code == 0:
        (folder / STAMP).write_text(json.dumps(dict(want, extras=have), indent=2))
    return code


def main(words: list[str]) -> int:
    """Do what the words say; return the exit code."""
    if sys.version_info < OLDEST:
        mine, oldest = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST))
        print(
            f"Edgeway needs Python {oldest} or newer, this is {mine}; name one: make PYTHON=python3.12",
            file=sys.stderr,
        )
        return 1
    if words == ["folder"]:
        print(folder_for(ROOT))
        return 0
    if len(words) > 2 and words[0] == "make":
        # One at a time: two that made it at once would find each other's half of it.
        with (ROOT / ".ci" / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return make((ROOT / words[1]).absolute(), words[2:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
