"""The virtual environment of the interpreter that runs this: where it is, and making it.

    python3.12 .ci/environment.py folder            prints .venv, or .venv-3.12.1 where .venv is another's
    python3.12 .ci/environment.py make FOLDER test bench
                                                    makes FOLDER with these extras, unless it is there

An environment that another interpreter made, that was left half made, that was made in another checkout, or
whose Python does not start any more is never used: it is made again, and a line says why. Nothing is cleared
that make did not make. Only the standard library is needed, and syntax that Python 3.7 reads: an old Python
gets a sentence instead of a traceback.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
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
    """Return what the stamp in ``folder`` says: whose it is, and how far it came; else nothing."""
    try:
        said = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) and isinstance(said.get("interpreter"), dict) else {}


def version_of(program: str) -> str:
    """Return the version of a Python, "" where it does not start."""
    try:
        said = subprocess.check_output([program, "-c", PROBE], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.decode().strip()


def is_in_use(folder: Path) -> bool:
    """Tell whether ``folder`` belongs to another Python that is still here, be it only half made yet."""
    owner = stamp_of(folder).get("interpreter")
    if owner is None or owner == interpreter():
        return False
    return version_of(str(owner.get("executable"))) == str(owner.get("version")).rstrip("t")


def folder_for(root: Path) -> str:
    """Return the folder for this interpreter: ``.venv``, unless that is in use by another one."""
    mine = interpreter()
    digest = hashlib.sha256(mine["executable"].encode()).hexdigest()[:6]
    versioned = f".venv-{mine['version']}"
    return next(
        (name for name in (".venv", versioned) if not is_in_use(root / name)), f"{versioned}-{digest}"
    )


def wanted(folder: Path) -> dict:
    """Return what the stamp of a whole environment says, but for the extras."""
    pins = b"".join((ROOT / name).read_bytes() for name in PINS)
    return {
        "interpreter": interpreter(),
        "checkout": str(ROOT),
        # Its scripts name it.
        "folder": str(folder),
        "pins": hashlib.sha256(pins).hexdigest(),
    }


def is_ours_to_clear(folder: Path) -> bool:
    """Tell whether nothing is lost with ``folder`` but an environment that these scripts made."""
    if not folder.exists() or stamp_of(folder):
        return True
    # Before stamps, and by a make that was killed: the names that only make uses, and nothing else in them.
    is_usual = folder.parent == ROOT and (folder.name == ".venv" or folder.name.startswith(".venv-"))
    return is_usual and (
        (folder / "pyvenv.cfg").exists() or {each.name for each in folder.iterdir()} <= PARTS
    )


def why_anew(folder: Path, want: dict) -> str:
    """Return why the environment in ``folder`` cannot be used as it is, "" when it can."""
    stamp = stamp_of(folder)
    if not folder.exists():
        return "there is none"
    if not stamp:
        return "it has no stamp of make's"
    owner = stamp["interpreter"]
    reasons = {
        f"it is of Python {owner.get('version')} ({owner.get('executable')})": owner != want["interpreter"],
        f"it is of another checkout, {stamp.get('checkout')}": stamp.get("checkout") != want["checkout"],
        f"it was made as {stamp.get('folder')}": stamp.get("folder") != want["folder"],
        "it was left half made": "extras" not in stamp,
    }
    found = next((reason for reason, holds in reasons.items() if holds), "")
    if not found and version_of(str(folder / "bin" / "python")) != owner["version"].rstrip("t"):
        return "its Python does not start any more"
    return found


def write_stamp(folder: Path, stamp: dict) -> None:
    """Say whose the folder is, and how far it came."""
    draft = folder / (STAMP + ".new")
    draft.write_text(json.dumps(stamp, indent=2))
    draft.replace(folder / STAMP)


def begin(folder: Path, want: dict, reason: str, lock: int) -> int:
    """Make an empty environment; return the exit code."""
    name, version = folder.name, want["interpreter"]["version"]
    if not is_ours_to_clear(folder):
        print(
            f"{folder} was not made by make: move it away, or name another one, make VENV=...",
            file=sys.stderr,
        )
        return 1
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        print(f"{name} is made again for Python {version}: {reason}")
        shutil.rmtree(str(folder))
    print(f"making {name} with Python {version} (the first time takes a minute or two)", flush=True)
    folder.mkdir(parents=True)
    write_stamp(folder, {key: want[key] for key in ("interpreter", "checkout", "folder")})
    code = subprocess.call([sys.executable, "-m", "venv", str(folder)], pass_fds=(lock,))
    if code:
        print(
            f"{name} could not be made; where ensurepip is missing: apt-get install python3-venv",
            file=sys.stderr,
        )
    return code


def make(folder: Path, extras: list, lock: int) -> int:
    """Make the environment or bring it up to date; return the exit code."""
    want = wanted(folder)
    reason = why_anew(folder, want)
    if reason:
        code = begin(folder, want, reason, lock)
        if code:
            return code
    have = sorted({*extras, *stamp_of(folder).get("extras", [])})
    if not reason:
        print(f"bringing {folder.name} up to date: {', '.join(have)}", flush=True)
        # Not up to date until pip has ended well, and the same environment if it does not.
        write_stamp(folder, {key: value for key, value in stamp_of(folder).items() if key != "pins"})
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--constraint", "constraints.txt", "--editable", f".[{','.join(have)}]"]
    # Whoever ends this process alone leaves the lock to its children.
    code = subprocess.call(pip, cwd=str(ROOT), pass_fds=(lock,))
    if code == 0:
        write_stamp(folder, dict(want, extras=have))
    return code


def is_up_to_date(folder: Path, extras: list) -> bool:
    """Tell whether there is nothing to do."""
    want, stamp = wanted(folder), stamp_of(folder)
    if stamp.get("pins") != want["pins"] or not set(extras) <= set(stamp.get("extras", [])):
        return False
    return not why_anew(folder, want)


def make_alone(folder: Path, extras: list) -> int:
    """Make the environment while nobody else does: two at once would find each other's half of it."""
    if is_up_to_date(folder, extras):
        return 0
    with (ROOT / ".ci" / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("waiting for another make, which makes an environment", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return 0 if is_up_to_date(folder, extras) else make(folder, extras, lock.fileno())


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
    if len(words) > 2 and words[0] == "make" and words[1]:
        try:
            return make_alone((ROOT / words[1]).absolute(), words[2:])
        except KeyboardInterrupt:
            return 130
        except OSError as error:
            print(f"{error.filename}: {error.strerror}: no environment can be made", file=sys.stderr)
            return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
