"""Reads a model's configuration: the text of `config.pbtxt`, or the JSON of an order to load."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

from google.protobuf import json_format, text_format

from edge_models.configuration.lines import TextLines
from edge_models.configuration.model_configuration import (
    ALL_VERSIONS,
    FILE_NAME,
    ConfiguredBatching,
    ConfiguredInput,
    ConfiguredInstances,
    ConfiguredOutput,
    ConfiguredQueue,
    ModelConfiguration,
    VersionPolicy,
    WarmupInput,
    WarmupRequest,
)
from edge_models.errors import ModelError
from edge_models.files import FileError, read_within
from gateway.core.errors import printable
from gateway.core.tensor import BYTES
from gateway.wire.proto.messages import message

MOST_BYTES: Final = 1 << 18
"""The largest configuration that is read: one of a thousand inputs has some 100 KiB."""

_FIRST: Final = 4
_MOST_MESSAGE: Final = 500
_ModelConfig: Final = message("inference.ModelConfig")
_NO_DATATYPE: Final = "TYPE_INVALID"


def read_configuration(repository: Path, folder: Path) -> ModelConfiguration | None:
    """Return what stands in the `config.pbtxt` of a model's ``folder``; None where there is none.

    Raises:
        ModelError: the file cannot be read, or is not what Triton's format allows; with line and column.
    """
    path = folder / FILE_NAME
    try:
        content = read_within(repository, path, max_bytes=MOST_BYTES)
    except FileNotFoundError:
        return None
    except FileError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse_text(content)
    except ModelError as error:
        raise ModelError(f"{folder}/{error}") from error


def parse_text(content: bytes) -> ModelConfiguration:
    """Return the configuration of a `config.pbtxt` with ``content``.

    Raises:
        ModelError: beginning with `config.pbtxt:LINE:COLUMN:`.
    """
    text = _decoded(content)
    parsed = _ModelConfig()
    try:
        text_format.Parse(text, parsed)
    except text_format.ParseError as error:
        at = f":{error.GetLine()}:{error.GetColumn()}" if error.GetLine() else ""
        sentence = str(error).removeprefix(f"{at[1:]} : ")
        raise ModelError(f"{FILE_NAME}{at}: {_short(sentence)}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{FILE_NAME}: {_short(str(error))}") from error
    return configuration_of(parsed, TextLines(text))


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:_FIRST]:
        raise ModelError(f"{FILE_NAME}:1: is UTF-16 or no text: save it as UTF-8")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ModelError(f"{FILE_NAME}:{line}: is not UTF-8: save it as UTF-8") from error


def parse_json(content: str | bytes) -> ModelConfiguration:
    """Return the configuration of an order to load, which is JSON.

    Raises:
        ModelError: it is too large, no JSON, or has what Triton's format does not allow.
    """
    if len(content) > MOST_BYTES:
        raise ModelError(f"config: has more than {MOST_BYTES >> 10} KiB")
    parsed = _ModelConfig()
    try:
        values = json.loads(content)
        if isinstance(values, dict):
            json_format.ParseDict(values, parsed)
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"config: {_short(str(error))}") from error
    if not isinstance(values, dict):
        raise ModelError("config: is not a JSON object")
    return configuration_of(parsed, None)


def configuration_of(parsed: Any, lines: TextLines | None) -> ModelConfiguration:
    """Return what an ``inference.ModelConfig`` says."""
    return ModelConfiguration(
        message=parsed,
        name=parsed.name,
        platform=parsed.platform,
        backend=parsed.backend,
        max_batch_size=parsed.max_batch_size,
        inputs=tuple(
            ConfiguredInput(
                **_tensor(each),
                format=_enum(each, "format"),
                optional=each.optional,
            )
            for each in parsed.input
        ),
        outputs=tuple(
            ConfiguredOutput(**_tensor(each), label_filename=each.label_filename) for each in parsed.output
        ),
        version_policy=_version_policy(parsed),
        default_model_filename=parsed.default_model_filename,
        dynamic_batching=_batching(parsed.dynamic_batching) if parsed.HasField("dynamic_batching") else None,
        instance_group=tuple(
            ConfiguredInstances(each.name, each.count, cast("Any", _enum(each, "kind")), tuple(each.gpus))
            for each in parsed.instance_group
        ),
        response_cache=parsed.response_cache.enable if parsed.HasField("response_cache") else None,
        model_warmup=tuple(_warmup(each) for each in parsed.model_warmup),
        sequence_batching=parsed.sequence_batching if parsed.HasField("sequence_batching") else None,
        parameters={name: each.string_value for name, each in parsed.parameters.items()},
        decoupled=parsed.model_transaction_policy.decoupled,
        lines=lines,
    )


def _tensor(each: Any) -> dict[str, Any]:
    return {
        "name": each.name,
        "datatype": _datatype(each),
        "dims": tuple(each.dims),
        "reshape": tuple(each.reshape.shape) if each.HasField("reshape") else None,
    }


def _version_policy(parsed: Any) -> VersionPolicy:
    policy = parsed.version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return ALL_VERSIONS
        case "specific":
            return VersionPolicy(None, tuple(policy.specific.versions))
        case "latest":
            return VersionPolicy(policy.latest.num_versions or 1)
        case _:
            return VersionPolicy()


def _batching(each: Any) -> ConfiguredBatching:
    return ConfiguredBatching(
        preferred_batch_size=tuple(each.preferred_batch_size),
        max_queue_delay_microseconds=each.max_queue_delay_microseconds,
        preserve_ordering=each.preserve_ordering,
        priority_levels=each.priority_levels,
        default_priority_level=each.default_priority_level,
        default_queue_policy=_queue(each.default_queue_policy),
        priority_queue_policy={
            level: _queue(policy) for level, policy in _by_key(each.priority_queue_policy)
        },
    )


def _queue(each: Any) -> ConfiguredQueue:
    return ConfiguredQueue(
        cast("Any", _enum(each, "timeout_action")),
        each.default_timeout_microseconds,
        each.allow_timeout_override,
        each.max_queue_size,
    )


def _warmup(each: Any) -> WarmupRequest:
    inputs = {
        name: WarmupInput(
            _datatype(tensor),
            tuple(tensor.dims),
            tensor.WhichOneof("input_data_type") or "zero_data",
            tensor.input_data_file,
        )
        for name, tensor in _by_key(each.inputs)
    }
    return WarmupRequest(each.name, each.batch_size, each.count or 1, inputs)


def _by_key(entries: Any) -> Iterable[tuple[Any, Any]]:
    return sorted(entries.items())


def _datatype(each: Any) -> str:
    name = _enum(each, "data_type")
    return {_NO_DATATYPE: "", "TYPE_STRING": BYTES}.get(name, name.removeprefix("TYPE_"))


def _enum(each: Any, field: str) -> str:
    value = getattr(each, field)
    known = each.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(value)
    # Text may say a number that no release has a name for.
    return str(value) if known is None else known.name


def _short(sentence: str) -> str:
    return printable(" ".join(sentence.split()), _MOST_MESSAGE)
