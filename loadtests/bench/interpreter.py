"""Which Python the figures were measured with: its version, how it was built, and how fast it is by itself.

The same release is up to three times as fast when it was built with profile-guided optimisation (PGO), and
its build flags do not always say so: Debian's describe another build than the one that is installed. So its
speed is measured, too.
"""

from __future__ import annotations

import platform
import sysconfig
import timeit
from typing import Final

_SETUP: Final = """
counts = {}
def step(x):
    return x * 2 + 1
"""
_LOOP: Final = "for i in range(100_000): counts[i & 255] = step(i)"
_CALLS: Final = 100_000
_REPEATS: Final = 15


def describe() -> str:
    """Return version, build and speed, such as ``3.14.8 (no PGO by its flags; 4.9 million calls/s)``."""
    return f"{platform.python_version()} ({flags()}; {calls_per_s() / 1e6:.1f} million calls/s)"


def flags() -> str:
    """Return what the build flags say about profile-guided optimisation."""
    flags = " ".join(
        str(sysconfig.get_config_var(name) or "")
        for name in ("CONFIG_ARGS", "PY_CORE_CFLAGS", "PY_CFLAGS_NODIST")
    )
    has_pgo = "--enable-optimizations" in flags or "-fprofile-use" in flags
    return "built with PGO" if has_pgo else "no PGO by its flags"


def calls_per_s() -> float:
    """Return how often a second it calls a small function and stores its result: the best of several runs."""
    return _CALLS / min(timeit.repeat(_LOOP, _SETUP, number=1, repeat=_REPEATS))
