"""What a command needs that is not installed, and how to get it: the extras of the package.

Example::

    how_to_install("onnx")
    # "onnx is missing, which the extra `models` brings: python3 -m pip install '/src[models]'"
"""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

EXTRAS: Final = {
    "onnxruntime": "cpu",
    "onnx": "models",
    "sympy": "models",
    "tritonclient": "demo",
    "grpc": "conformance",
}
"""Modules that not every command needs, and the extra that brings each."""

NEEDED_TOGETHER: Final = {"demo": ("onnxruntime", "tritonclient")}
"""By command: what else it will miss once the first is there."""


def how_to_install(module: str, command: str = "") -> str | None:
    """Return a sentence that says what is missing and what to do; None for a module of no extra.

    ``command``: the command that needs it; the same sentence names its other missing modules.
    """
    top = module.partition(".")[0]
    if top not in EXTRAS:
        return None
    others = [
        other for other in NEEDED_TOGETHER.get(command, ()) if other != top and find_spec(other) is None
    ]
    extras = list(dict.fromkeys(EXTRAS[each] for each in (top, *others)))
    missing = " and ".join([module, *others])
    named = " and ".join(f"`{extra}`" for extra in extras)
    brings = f"the extra {named} brings" if len(extras) == 1 else f"the extras {named} bring"
    choice = " (`gpu` instead of `cpu` on a machine with CUDA)" if "cpu" in extras else ""
    return f"{missing} {'is' if not others else 'are'} missing, which {brings}{choice}: {_command(extras)}"


def _command(extras: list[str]) -> str:
    """Return what to type, for the way in which Edgeway was installed."""
    wanted = f"[{','.join(extras)}]"
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    try:
        # PEP 610: this file is there unless the package came from an index.
        origin = json.loads(distribution("edgeway").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    url = urlsplit(str(origin.get("url", "")))
    path = Path(unquote(url.path))
    if url.scheme != "file" or not path.exists():
        return f"install it again, with {wanted} behind the folder, wheel or address that it came from"
    editable = " --editable" if origin.get("dir_info", {}).get("editable") else ""
    return f"{pip}{editable} {shlex.quote(str(path) + wanted)}"
