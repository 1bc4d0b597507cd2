"""What a model's configuration says of its answers: may they be kept, have their classes names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class ConfiguredAnswers(msgspec.Struct, frozen=True):
    """What is known of a model's answers.

    ``may_be_kept``: false where the configuration has a `response_cache` that is not enabled; without one the
    gateway decides. ``labelled``: the outputs of whose classes the model's server has the names.
    """

    may_be_kept: bool = True
    labelled: frozenset[str] = frozenset()


NOTHING_CONFIGURED: Final = ConfiguredAnswers()


class _Output(msgspec.Struct):
    name: str = ""
    label_filename: str = ""


class _Cache(msgspec.Struct):
    enable: bool = False


class _Config(msgspec.Struct):
    response_cache: _Cache | None = None
    output: list[_Output] = []


_decode: Final = msgspec.json.Decoder(_Config).decode


def read_configured_answers(config: bytes) -> ConfiguredAnswers:
    """Return what a configuration (`RemoteCatalog.config`) says; nothing where it is not as Triton has it."""
    try:
        found = _decode(config)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NOTHING_CONFIGURED
    labelled = frozenset(output.name for output in found.output if output.label_filename)
    return ConfiguredAnswers(found.response_cache is None or found.response_cache.enable, labelled)


def forbids_cache(config: Mapping[str, Any]) -> bool:
    """Whether a configuration, an object of JSON, says that answers are not to be kept."""
    cache = config.get("response_cache")
    return isinstance(cache, Mapping) and not cache.get("enable")
