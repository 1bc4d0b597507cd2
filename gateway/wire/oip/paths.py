"""The protocol's URL paths ⇄ what they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote_to_bytes

_MAX_NAME: Final = 256


class Ask(StrEnum):
    """What a path asks for."""

    SERVER = "server"
    LIVE = "live"
    READY = "ready"
    MODEL = "model"
    MODEL_READY = "model_ready"
    INFER = "infer"
    GENERATE = "generate"
    GENERATE_STREAM = "generate_stream"
    CONFIG = "config"
    STATISTICS = "statistics"
    MODELS = "models"
    INDEX = "index"
    LOAD = "load"
    UNLOAD = "unload"
    LOGGING = "logging"
    TRACING = "tracing"
    SHARED_MEMORY = "shared_memory"
    SHARE_MEMORY = "share_memory"


_READS: Final = ("GET", "HEAD")
_WRITES: Final = ("POST",)
METHODS: Final[dict[Ask, tuple[str, ...]]] = dict.fromkeys(Ask, _READS) | {
    Ask.INFER: _WRITES,
    Ask.GENERATE: _WRITES,
    Ask.GENERATE_STREAM: _WRITES,
    Ask.INDEX: _WRITES,
    Ask.LOAD: _WRITES,
    Ask.UNLOAD: _WRITES,
    Ask.LOGGING: (*_READS, *_WRITES),
    Ask.TRACING: (*_READS, *_WRITES),
    Ask.SHARE_MEMORY: _WRITES,
}
"""By which methods each thing may be asked for."""


@dataclass(frozen=True, slots=True)
class Target:
    """A path, read: ``model`` and ``version`` are empty where it names none."""

    ask: Ask
    model: str = ""
    version: str = ""


_FIXED: Final = {
    "/v2": Target(Ask.SERVER),
    "/v2/": Target(Ask.SERVER),
    "/v2/health/live": Target(Ask.LIVE),
    "/v2/health/ready": Target(Ask.READY),
    "/v2/models": Target(Ask.MODELS),
    "/v2/models/stats": Target(Ask.STATISTICS),
    "/v2/repository/index": Target(Ask.INDEX),
    "/v2/logging": Target(Ask.LOGGING),
    "/v2/trace/setting": Target(Ask.TRACING),
}
_OF_MODELS: Final[dict[tuple[str, ...], Ask]] = {
    (): Ask.MODEL,
    ("ready",): Ask.MODEL_READY,
    ("infer",): Ask.INFER,
    ("generate",): Ask.GENERATE,
    ("generate_stream",): Ask.GENERATE_STREAM,
    ("config",): Ask.CONFIG,
    ("stats",): Ask.STATISTICS,
    ("trace", "setting"): Ask.TRACING,
}
_OF_REPOSITORY: Final[dict[tuple[str, ...], Ask]] = {("load",): Ask.LOAD, ("unload",): Ask.UNLOAD}
_OF_MEMORY: Final = {
    "status": Ask.SHARED_MEMORY,
    "register": Ask.SHARE_MEMORY,
    "unregister": Ask.SHARE_MEMORY,
}


def read_path(path: str) -> Target | None:
    """Read a path as it came, percent-encoded, with its query or without; None when it is nobody's."""
    path = path.partition("?")[0]
    if path in _FIXED:
        return _FIXED[path]
    match path.split("/"):
        case ["", "v2", "models", name, "versions", version, *rest] if _is_version(version):
            return _of_model(_OF_MODELS.get(tuple(rest)), name, version)
        case ["", "v2", "models", name, *rest]:
            return _of_model(_OF_MODELS.get(tuple(rest)), name)
        case ["", "v2", "repository", "models", name, *rest]:
            return _of_model(_OF_REPOSITORY.get(tuple(rest)), name)
        case ["", "v2", "systemsharedmemory" | "cudasharedmemory", *region, verb]:
            is_named = not region or (len(region) == 2 and region[0] == "region" and bool(_decode(region[1])))
            ask = _OF_MEMORY.get(verb)
            return Target(ask) if ask and is_named else None
        case _:
            return None


def _of_model(ask: Ask | None, name: str, version: str = "") -> Target | None:
    name = _decode(name)
    # A trace belongs to a model, not to one version of it.
    return Target(ask, name, version) if ask and name and not (version and ask is Ask.TRACING) else None


def model_path(model: str, version: str, verb: str = "") -> str:
    """Write the path of a model's metadata, or of ``verb`` (``infer``, ``ready``) on the model."""
    versioned = f"/versions/{quote(version, safe='')}" if version else ""
    return f"/v2/models/{quote(model, safe='')}{versioned}{'/' if verb else ''}{verb}"


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20


def _decode(text: str) -> str:
    """Return the name behind its percent-encoding; empty when it is none that a model can have."""
    try:
        name = unquote_to_bytes(text).decode() if "%" in text else text
    except UnicodeDecodeError:
        return ""
    # Whoever is asked next might walk the dots as a path.
    is_name = name.isprintable() and len(name) <= _MAX_NAME and name not in {".", ".."}
    return name if is_name else ""
