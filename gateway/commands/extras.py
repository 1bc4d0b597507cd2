"""What a command needs that is not installed, and how to get it: the extras of the package.

Example::

    how_to_install("onnx")
    # "onnx is missing, which the extra `models` brings: pip install '/src/edgeway[models]'"
"""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

EXTRAS: Final = {
    "onnxruntime": "cpu",
    "onnx": "models",
    "sympy": "models",
    "tritonclient": "demo",
    "atheris": "fuzz",
    "locust": "bench",
}
"""Modules that not every command needs, and the extra that brings each."""


def how_to_install(module: str) -> str | None:
    """Return a sentence that says what is missing and what to do; None for a module of no extra."""
    extra = EXTRAS.get(module.partition(".")[0])
    if extra is None:
        return None
    instead = " (or `gpu`, on a machine with CUDA)" if extra == "cpu" else ""
    command = f"pip install '{source()}[{extra}]'"
    return f"{module} is missing, which the extra `{extra}`{instead} brings: {command}"


def source() -> str:
    """Return what pip was given to install Edgeway: a folder, a wheel, or its name on an index."""
    try:
        return _source(distribution("edgeway"))
    except PackageNotFoundError:
        return "."


def _source(installed: Distribution) -> str:
    # PEP 610: there for everything that did not come from an index.
    said = installed.read_text("direct_url.json")
    if said is None:
        return "edgeway"
    url = urlsplit(json.loads(said)["url"])
    path = Path(unquote(url.path))
    return str(path) if url.scheme == "file" and path.exists() else "edgeway"
