"""What a model's `config.pbtxt` says, as far as it is obeyed. Names, values and defaults are Triton's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from edge_models.configuration.lines import Step, TextLines

FILE_NAME: Final = "config.pbtxt"


@dataclass(frozen=True, slots=True)
class ConfiguredTensor:
    """An input or an output.

    ``datatype``: as the protocol names it, FP32 or BYTES; empty where it is not said. ``dims``: without the
    batch dimension when there is a ``max_batch_size``; -1 where any size goes; empty where they are not said.
    ``reshape``: the dimensions that the model has in place of ``dims``; None: the same.
    """

    name: str
    datatype: str = ""
    dims: tuple[int, ...] = ()
    reshape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ConfiguredInput(ConfiguredTensor):
    """An input. ``format``: FORMAT_NONE, _NHWC or _NCHW; ``optional``: requests may leave it out."""

    format: str = "FORMAT_NONE"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ConfiguredOutput(ConfiguredTensor):
    """An output. ``label_filename``: the file beside `config.pbtxt` with a class name a line; empty: none."""

    label_filename: str = ""


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which versions are served: the ``latest`` so many, those of ``specific``, or (both None) all."""

    latest: int | None = 1
    specific: tuple[int, ...] | None = None

    def choose(self, versions: tuple[int, ...]) -> tuple[int, ...]:
        """Return those of ``versions``, which are there, that are served."""
        if self.specific is not None:
            return tuple(version for version in sorted(versions) if version in self.specific)
        return tuple(sorted(versions)[-self.latest :] if self.latest is not None else sorted(versions))


ALL_VERSIONS: Final = VersionPolicy(None)


@dataclass(frozen=True, slots=True)
class ConfiguredQueue:
    """How requests wait (`ModelQueuePolicy`). ``max_queue_size`` 0: as many as there are.

    ``default_timeout_microseconds``: how long one may wait, 0: as long as it takes; a request may say less
    (its ``timeout``) if ``allow_timeout_override``. ``timeout_action``: REJECT it then, or DELAY it until no
    other waits.
    """

    timeout_action: Literal["REJECT", "DELAY"] = "REJECT"
    default_timeout_microseconds: int = 0
    allow_timeout_override: bool = False
    max_queue_size: int = 0


@dataclass(frozen=True, slots=True)
class ConfiguredBatching:
    """How requests are put together (`ModelDynamicBatching`).

    ``priority_levels`` 0: there are none; 1 is the highest. ``default_queue_policy`` is for the levels that
    ``priority_queue_policy`` does not name.
    """

    preferred_batch_size: tuple[int, ...] = ()
    max_queue_delay_microseconds: int = 0
    preserve_ordering: bool = False
    priority_levels: int = 0
    default_priority_level: int = 0
    default_queue_policy: ConfiguredQueue = ConfiguredQueue()
    priority_queue_policy: Mapping[int, ConfiguredQueue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfiguredInstances:
    """One entry of `instance_group`: ``count`` runs at the same time; 0: as many as is the default."""

    name: str = ""
    count: int = 0
    kind: Literal["KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"] = "KIND_AUTO"
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WarmupInput:
    """One input of a request before the first: zeros, random values, or those of ``data_file``.

    ``data_file``: of the folder `warmup` beside `config.pbtxt`.
    """

    datatype: str
    dims: tuple[int, ...]
    source: Literal["zero_data", "random_data", "input_data_file"]
    data_file: str = ""


@dataclass(frozen=True, slots=True)
class WarmupRequest:
    """A request that is run ``count`` times before a model is ready. ``batch_size`` 0: no batch dimension."""

    name: str
    batch_size: int
    count: int
    inputs: Mapping[str, WarmupInput]


@dataclass(frozen=True, slots=True)
class ModelConfiguration:
    """A model's configuration.

    Attributes:
        message: all of it, an ``inference.ModelConfig`` as it was read; nobody changes it.
        max_batch_size: the most rows of one request and of one batch; 0: the first dimension is not a batch.
        version_policy: which of the folder's versions are served.
        default_model_filename: the file of a version; empty: `model.onnx`.
        dynamic_batching: None: requests are not put together.
        sequence_batching: an ``inference.ModelSequenceBatching``; None: there are no sequences.
        parameters: each with its ``string_value``.
        response_cache: whether answers are to be kept in a cache; None: the policy decides.
        decoupled: one request may have several answers, or none.
        lines: where the fields stand; None when it came as JSON.
    """

    message: Any
    name: str = ""
    platform: str = ""
    backend: str = ""
    max_batch_size: int = 0
    inputs: tuple[ConfiguredInput, ...] = ()
    outputs: tuple[ConfiguredOutput, ...] = ()
    version_policy: VersionPolicy = VersionPolicy()
    default_model_filename: str = ""
    dynamic_batching: ConfiguredBatching | None = None
    instance_group: tuple[ConfiguredInstances, ...] = ()
    response_cache: bool | None = None
    model_warmup: tuple[WarmupRequest, ...] = ()
    sequence_batching: Any = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    decoupled: bool = False
    lines: TextLines | None = None

    def __repr__(self) -> str:
        return f"<ModelConfiguration {self.name} of {self.backend or self.platform or 'no backend'}>"

    def where(self, *path: Step) -> str:
        """Return where a field stands: `config.pbtxt:12`, or `config` where it came with an order."""
        return "config" if self.lines is None else f"{FILE_NAME}:{self.lines.find(*path)}"
