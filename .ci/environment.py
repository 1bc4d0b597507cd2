"""The virtual environment of the interpreter that runs this: where it is, and making it.

    python3.12 .ci/environment.py folder            prints .venv, or .venv-3.12.1 where .venv is another's
    python3.12 .ci/environment.py make FOLDER test bench
                                                    makes FOLDER with these extras, unless it is there

An environment that another interpreter made, that was left half made, that was made for other pins or another
checkout, or whose Python does not start any more is never used: it is made again, and a line says why. Only the
standard library is needed, and the syntax is of Python 3.6, so that an old Python gets a sentence, not a traceback.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 11)
STAMP = "installed"
PINS = ("pyproject.toml", "constraints.txt")


def interpreter():
    """Return what tells this interpreter from others: its version and build, and where it really is."""
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    build = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return {"version": "%d.%d.%d" % sys.version_info[:3] + build, "executable": base}


def stamp_of(folder):
    """Return what the stamp in ``folder`` says; None for an environment that is half made, or none."""
    try:
        with open(os.path.join(folder, STAMP)) as file:
            said = json.load(file)
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def is_alive(folder):
    """Tell whether the environment's Python starts and is of the version that made it."""
    program = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        said = subprocess.check_output(
            [os.path.join(folder, "bin", "python"), "-c", program], stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return said.decode().strip() == (stamp_of(folder) or {}).get("interpreter", {}).get("version", "").rstrip(
        "t"
    )


def folder_for(root):
    """Return the folder for this interpreter: ``.venv``, unless that is in use by another one."""
    stamp = stamp_of(os.path.join(root, ".venv"))
    mine = interpreter()
    if stamp is None or stamp.get("interpreter") == mine or not is_alive(os.path.join(root, ".venv")):
        return ".venv"
    return ".venv-" + mine["version"]


def wanted(root):
    """Return what a stamp must say, but for the extras."""
    digest = hashlib.sha256()
    for name in PINS:
        with open(os.path.join(root, name), "rb") as file:
            digest.update(file.read())
    return {"interpreter": interpreter(), "checkout": root, "pins": digest.hexdigest()}


def is_ours_to_clear(folder):
    """Tell whether nothing but a virtual environment, whole or half made, would be lost with ``folder``."""
    if not os.path.isdir(folder) or os.path.exists(os.path.join(folder, "pyvenv.cfg")):
        return True
    return set(os.listdir(folder)) <= {"bin", "include", "lib", "lib64"}


def why_anew(folder, want):
    """Return why the environment in ``folder`` cannot be used as it is, "" when it can."""
    stamp = stamp_of(folder)
    if not os.path.lexists(folder):
        return "there is none"
    if stamp is None:
        return "it was left half made"
    if stamp.get("interpreter") != want["interpreter"]:
        return "it is of Python %s (%s)" % tuple(
            stamp.get("interpreter", {}).get(key, "?") for key in ("version", "executable")
        )
    if stamp.get("checkout") != want["checkout"]:
        return "it is of another checkout, %s" % stamp.get("checkout")
    if not is_alive(folder):
        return "its Python does not start any more"
    return ""


def make(folder, extras):
    """Make the environment or bring it up to date; return the exit code."""
    want = wanted(ROOT)
    name = os.path.relpath(folder, ROOT)
    reason = why_anew(folder, want)
    stamp = {} if reason else stamp_of(folder)
    if stamp and stamp.get("pins") == want["pins"] and set(extras) <= set(stamp.get("extras", [])):
        return 0
    have = sorted(set(extras) | set(stamp.get("extras", [])))
    if reason:
        if not is_ours_to_clear(folder):
            print("%s is no virtual environment: name another, make VENV=…" % name, file=sys.stderr)
            return 1
        version = want["interpreter"]["version"]
        if os.path.lexists(folder):
            print("%s is made again for Python %s: %s" % (name, version, reason))
        print("making %s with Python %s (the first time takes a minute or two)" % (name, version), flush=True)
        if subprocess.call([sys.executable, "-m", "venv", "--clear", folder]):
            print(
                "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv",
                file=sys.stderr,
            )
            return 1
    else:
        print("installing what %s lacks: %s" % (name, ", ".join(have)), flush=True)
        # From here to the new stamp it counts as half made.
        os.remove(os.path.join(folder, STAMP))
    install = [os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet"]
    install += ["--disable-pip-version-check", "--constraint", "constraints.txt"]
    code = subprocess.call([*install, "--editable", ".[%s]" % ",".join(have)], cwd=ROOT)
    if code == 0:
        with open(os.path.join(folder, STAMP), "w") as file:
            json.dump(dict(want, extras=have), file, indent=2)
    return code


def main(words):
    """Do what the words say; return the exit code."""
    if sys.version_info < OLDEST:
        print(
            "Edgeway needs Python %d.%d or newer, this is %d.%d; name one: make PYTHON=python3.12"
            % (OLDEST + sys.version_info[:2]),
            file=sys.stderr,
        )
        return 1
    if words == ["folder"]:
        print(folder_for(ROOT))
        return 0
    if len(words) > 2 and words[0] == "make":
        # One at a time: two that made it at once would find each other's half of it.
        with open(os.path.join(ROOT, ".ci", ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return make(os.path.abspath(words[1]), words[2:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
