"""Settings of the models that a process serves by itself."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

Provider = Literal["cuda", "cpu"]

MODEL_NAME = r"^[A-Za-z0-9_](?:[A-Za-z0-9._ -]{0,126}[A-Za-z0-9._-])?$"

Level = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Rows = Annotated[int, msgspec.Meta(ge=1, le=65536)]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
ModelName = Annotated[str, msgspec.Meta(pattern=MODEL_NAME)]


class QueuePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long requests of one priority may wait, and how many. Names and meaning are Triton's.

    ``default_timeout_microseconds``: how long one may wait; 0, the default, stands for as long as its own
    deadline allows. ``timeout_action``: what becomes of it then. REJECT, the default, refuses it as overload;
    DELAY serves it after those of its priority that are in time.

    ``allow_timeout_override``: whether a request's own ``timeout`` counts as well. Here it always does: it is
    the request's deadline, and ends it wherever it is.

    ``max_queue_size``: requests that may wait; 0, the default, stands for ``max_queue_size`` of the model.
    """

    timeout_action: Literal["REJECT", "DELAY"] = "REJECT"
    default_timeout_microseconds: Annotated[int, msgspec.Meta(ge=0, le=86_400_000_000)] = 0
    allow_timeout_override: bool = False
    max_queue_size: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


PATIENT: Final = QueuePolicy()


class BatchingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How requests for one model wait for each other. Names and meaning are Triton's.

    ``max_batch_size``: the most rows of one request and of one batch; 1 joins nothing. Default 64.

    ``preferred_batch_size``: a batch of one of these sizes runs without waiting for the delay; empty,
    the default, stands for ``max_batch_size``.

    ``max_queue_delay_microseconds``: how long the oldest request may wait for company while a thread is
    free; 0, the default, joins only what piled up while all threads were busy. uvloop's timers tick in
    milliseconds: what is set here is rounded to them.

    ``max_queue_size``: requests that may wait; one more is refused as overload, or where its tenant has fewer
    of them than another, the latest of the tenant that has most. Default 1024.

    ``priority_levels``: how many there are; 0, the default, makes no difference between requests. Else 1 is
    the highest, requests say theirs by the parameter ``priority``, and a lower one is served only when none
    of a higher one waits. ``default_priority_level``: that of requests that say none, or one beyond.

    ``default_queue_policy``: how long requests may wait, and how many. ``priority_queue_policy``: the same by
    level, for levels that differ.

    ``preserve_ordering``: answers are given in the order in which the requests came. Default false. A request
    that is late then holds up those behind it.

    ``inline_max_rows``: requests of at most this many rows run on the event loop: no thread hop
    (about 100 µs, several times the run of a small int8 network), but the loop stands still meanwhile.
    Only for models of tens of microseconds and of fixed row shape. 0, the default, never does so.

    ``inline_join``: such requests that come in the same turn of the loop share a run, of at most
    ``inline_max_rows`` rows: more of them per second, and some 30 µs more for one that comes alone. Default
    false.
    """

    max_batch_size: Rows = 64
    preferred_batch_size: tuple[Rows, ...] = ()
    max_queue_delay_microseconds: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    max_queue_size: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1024
    preserve_ordering: bool = False
    priority_levels: Level = 0
    default_priority_level: Level = 0
    default_queue_policy: QueuePolicy = PATIENT
    priority_queue_policy: dict[Level, QueuePolicy] = {}
    inline_max_rows: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    inline_join: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if any(size > self.max_batch_size for size in self.preferred_batch_size):
            raise ValueError("preferred_batch_size must not exceed max_batch_size")
        if self.inline_join and not self.inline_max_rows:
            raise ValueError(
                "inline_join joins what inline_max_rows lets run on the event loop: set that, too"
            )
        if self.inline_max_rows and (self.preserve_ordering or self.priority_levels):
            raise ValueError(
                "what inline_max_rows lets run on the event loop waits for nobody: drop it, or "
                "preserve_ordering and priority_levels"
            )
        _check_priorities(self)


def _check_priorities(batching: BatchingSettings) -> None:
    levels, default = batching.priority_levels, batching.default_priority_level
    if (levels or default) and not 1 <= default <= levels:
        raise ValueError(
            f"default_priority_level must be a level from 1 to priority_levels, which is {levels}"
        )
    if any(not 1 <= level <= levels for level in batching.priority_queue_policy):
        raise ValueError(
            f"priority_queue_policy must name levels from 1 to priority_levels, which is {levels}"
        )
    if levels > 1 and batching.preserve_ordering:
        raise ValueError("preserve_ordering and several priority_levels contradict each other")
    policies = (batching.default_queue_policy, *batching.priority_queue_policy.values())
    if batching.preserve_ordering and any(policy.timeout_action == "DELAY" for policy in policies):
        raise ValueError("preserve_ordering and the timeout_action DELAY contradict each other")


class ModelLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one model may take. Timeouts are named as TorchServe's, memory as ONNX Runtime's arena.

    ``response_timeout_s``: the most seconds of one run, whatever its requests' deadlines allow; it is stopped
    then, and answered as a deadline that passed. A run is also stopped as soon as nobody waits for it. 120.

    ``startup_timeout_s``: the most seconds for one file to be loaded. 120.

    ``max_mem_mib``: the most memory that all runs of the model together may have beside its weights, and that
    loading it may take beside four times its file. A run that needs more fails, and no other. 1024.

    ``max_file_mib``: the largest model, with the files beside it in which it keeps weights. 1024; ONNX allows
    less than 2048 for the model's own file.

    ``max_sequences``: of a model with state, the most sequences that have begun and not ended, 4096.
    ``max_sequence_state_mib``: the most memory of their states, 256. No tenant has more than half of either.
    """

    response_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 120.0
    startup_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 120.0
    max_mem_mib: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 1024
    max_file_mib: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1024
    max_sequences: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 4096
    max_sequence_state_mib: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 256


class ModelsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The models of one process and what runs them.

    ``repository``: a folder of ``<model>/<version>/model.onnx``, perhaps with a ``<model>/config.pbtxt``.
    ``exit_on_error``: do not start when one of them cannot be served (Triton's ``--exit-on-error``); false,
    the default, leaves it out, with its reason in the log and the index.

    ``certificates``: a folder of
    ``<model>.json``; without one every request is deferred. ``max_alpha``: the most risk that a
    certificate may allow, default 0.02; one with more is refused. ``max_delta``: the most doubt about that
    risk, default 0.05; one with more is refused.

    ``providers``: what to run on, the most wanted first; one that this machine lacks is passed over.
    ``require``: refuse to start unless every model runs on it.

    ``threads``: batches that run at the same time, over all models, default 1. A run of more than 0.1 s does
    not count: while its runs are slow, a model has as many threads of its own. ``intra_op_threads``: threads
    within one run, default 1: on a small machine parallel runs beat parallel operators.

    ``batch_scope``: who may share a batch, a queue's limits and its delays: ``tenant``, one tenant within its
    residency class, or ``residency``, the whole class; null, the default: whoever shares answers, by
    `cache.scope`. Scopes take turns, a batch each.

    ``batching``: per model; one that is not named here has what its `config.pbtxt` says, else the defaults.
    ``limits``: per model; one that is not named has the defaults.
    """

    repository: Annotated[str, msgspec.Meta(min_length=1)]
    exit_on_error: bool = False
    certificates: str | None = None
    max_alpha: Share = 0.02
    max_delta: Share = 0.05
    providers: Annotated[tuple[Provider, ...], msgspec.Meta(min_length=1)] = ("cpu",)
    require: Provider | None = None
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    intra_op_threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    batch_scope: Literal["tenant", "residency"] | None = None
    batching: dict[ModelName, BatchingSettings] = {}
    limits: dict[ModelName, ModelLimits] = {}

    def __post_init__(self) -> None:
        """Refuse to require what is not among the providers."""
        if self.require is not None and self.require not in self.providers:
            raise ValueError("providers must name what is required")
