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
}
_OF_MODELS: Final = {(): Ask.MODEL, ("ready",): Ask.MODEL_READY, ("infer",): Ask.INFER}


def parse_path(path: str) -> Target | None:
    """Read a path as it came, percent-encoded, with its query or without; None when it is nobody's."""
    path = path.partition("?")[0]
    if path in _FIXED:
        return _FIXED[path]
    parts = path.split("/")
    if parts[:3] != ["", "v2", "models"] or len(parts) < 4:
        return None
    name, version, rest = _decode(parts[3]), "", parts[4:]
    if len(rest) > 1 and rest[0] == "versions" and _is_version(rest[1]):
        version, rest = rest[1], rest[2:]
    ask = _OF_MODELS.get(tuple(rest))
    return Target(ask, name, version) if ask and name else None


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
