"""The protocol's URL paths ⇄ operations on the server and its models."""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import msgspec

_MAX_NAME: Final = 256


class Operation(StrEnum):
    """What can be done with the server or a model."""

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
    UNSHARE_MEMORY = "unshare_memory"


_READS: Final = ("GET", "HEAD")
_WRITES: Final = ("POST",)
METHODS: Final[dict[Operation, tuple[str, ...]]] = dict.fromkeys(Operation, _READS) | {
    Operation.INFER: _WRITES,
    Operation.GENERATE: _WRITES,
    Operation.GENERATE_STREAM: _WRITES,
    Operation.INDEX: _WRITES,
    Operation.LOAD: _WRITES,
    Operation.UNLOAD: _WRITES,
    Operation.LOGGING: (*_READS, *_WRITES),
    Operation.TRACING: (*_READS, *_WRITES),
    Operation.SHARE_MEMORY: _WRITES,
    Operation.UNSHARE_MEMORY: _WRITES,
}
"""The HTTP methods of each operation."""


class ParsedPath(msgspec.Struct, frozen=True, gc=False):
    """A path that was read; ``model`` and ``version`` are empty where it names none.

    ``memory``: system or cuda, where it is about shared memory; ``region``: its region of it, empty for all.
    """

    operation: Operation
    model: str = ""
    version: str = ""
    memory: str = ""
    region: str = ""


_FIXED: Final = {
    "/v2": ParsedPath(Operation.SERVER),
    "/v2/": ParsedPath(Operation.SERVER),
    "/v2/health/live": ParsedPath(Operation.LIVE),
    "/v2/health/ready": ParsedPath(Operation.READY),
    "/v2/models": ParsedPath(Operation.MODELS),
    "/v2/models/stats": ParsedPath(Operation.STATISTICS),
    "/v2/repository/index": ParsedPath(Operation.INDEX),
    "/v2/logging": ParsedPath(Operation.LOGGING),
    "/v2/trace/setting": ParsedPath(Operation.TRACING),
}
_MODELS: Final = ["", "v2", "models"]
_INFER: Final = ["infer"]
_OF_MODELS: Final[dict[tuple[str, ...], Operation]] = {
    (): Operation.MODEL,
    ("ready",): Operation.MODEL_READY,
    ("infer",): Operation.INFER,
    ("generate",): Operation.GENERATE,
    ("generate_stream",): Operation.GENERATE_STREAM,
    ("config",): Operation.CONFIG,
    ("stats",): Operation.STATISTICS,
    ("trace", "setting"): Operation.TRACING,
}
_OF_REPOSITORY: Final[dict[tuple[str, ...], Operation]] = {
    ("load",): Operation.LOAD,
    ("unload",): Operation.UNLOAD,
}
_OF_MEMORY: Final = {
    "status": Operation.SHARED_MEMORY,
    "register": Operation.SHARE_MEMORY,
    "unregister": Operation.UNSHARE_MEMORY,
}


def read_path(path: str) -> ParsedPath | None:
    """Read a path, percent-encoded, with its query or without; None when the protocol has none such."""
    path = path.partition("?")[0]
    if path in _FIXED:
        return _FIXED[path]
    parts = path.split("/")
    # The common case by itself: every new head pays for this, and nothing of a stranger's is remembered.
    if parts[:3] == _MODELS and parts[4:] == _INFER:
        return _of_model(Operation.INFER, parts[3])
    return _find(parts)


def _find(parts: list[str]) -> ParsedPath | None:
    match parts:
        case ["", "v2", "models", name, "versions", version, *rest]:
            # A version is a text. Models of this process have numbers; those of endpoints what they say.
            version = _decode(version)
            return _of_model(_OF_MODELS.get(tuple(rest)), name, version) if version else None
        case ["", "v2", "models", name, *rest]:
            return _of_model(_OF_MODELS.get(tuple(rest)), name)
        case ["", "v2", "repository", "models", name, *rest]:
            return _of_model(_OF_REPOSITORY.get(tuple(rest)), name)
        case ["", "v2", "systemsharedmemory" | "cudasharedmemory" as memory, *region, verb]:
            return _of_memory(memory.removesuffix("sharedmemory"), region, verb)
        case _:
            return None


def _of_model(operation: Operation | None, name: str, version: str = "") -> ParsedPath | None:
    name = _decode(name)
    # A trace belongs to a model, not to one version of it.
    return (
        ParsedPath(operation, name, version)
        if operation and name and not (version and operation is Operation.TRACING)
        else None
    )


def _of_memory(memory: str, named: list[str], verb: str) -> ParsedPath | None:
    operation, region = _OF_MEMORY.get(verb), ""
    if named:
        region = _decode(named[1]) if len(named) == 2 and named[0] == "region" else ""
    if operation is None or bool(named) is not bool(region):
        return None
    return ParsedPath(operation, memory=memory, region=region)


def model_path(model: str, version: str, verb: str = "") -> str:
    """Write the path of a model's metadata, or of ``verb`` (``infer``, ``ready``) on the model."""
    versioned = f"/versions/{quote(version, safe='')}" if version else ""
    return f"/v2/models/{quote(model, safe='')}{versioned}{'/' if verb else ''}{verb}"


def _decode(text: str) -> str:
    """Return the name behind its percent-encoding; empty when it is none that a model or version can have."""
    try:
        name = unquote_to_bytes(text).decode() if "%" in text else text
    except UnicodeDecodeError:
        return ""
    # The next server might resolve the dots as a path.
    is_name = name.isprintable() and len(name) <= _MAX_NAME and name not in {".", ".."}
    return name if is_name else ""
