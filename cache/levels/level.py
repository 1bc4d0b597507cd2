"""What a cache level holds, and what any level can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.clock import Clock
from gateway.core.gate import Gate, GateSettings
from gateway.core.request import Request, Response
from gateway.core.telemetry import Telemetry
from gateway.core.tensor import BYTES, Parameter, Tensor, element_count

ENTRY_BYTES: Final = 860
TENSOR_BYTES: Final = 540
ELEMENT_BYTES: Final = 60
PARAMETER_BYTES: Final = 300
"""What an entry, each of its tensors, each element of a BYTES tensor and each parameter take in CPython
besides the raw bytes: objects, dict slots, and the numpy view that a reader may leave behind. Measured with
tracemalloc in tests/cache/levels/test_memory.py, rounded up."""


EVICTION_CAUSES: Final = ("small", "main", "quota", "oversize", "replaced", "expired", "purged")
"""Why an entry leaves a level, or does not come in: never hit again while new; long not hit; others needed
what their quota reserves; larger than the level keeps; another answer came under its key; past its hard
expiry; forgotten on somebody's word."""


class Entry(Struct, frozen=True):
    """One answer as a level holds it.

    ``soft_expiry`` and ``hard_expiry`` are steady seconds (``Clock.steady``): fresh until the first, of use
    as a stand-in until the second. ``compute_s`` is what computing it took. ``size`` is what it takes in
    memory, in bytes. ``holder``: on whose account, in a level that has quotas. ``residency``: the class of
    the request that it answers; ``regions``: those that might see that request; none: not known. When it was
    computed, its response has.
    """

    response: Response
    soft_expiry: float
    hard_expiry: float
    compute_s: float
    size: int
    holder: str = ""
    residency: str = ""
    regions: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        response: Response,
        *,
        soft_expiry: float,
        hard_expiry: float,
        compute_s: float,
        born: float = 0.0,
        holder: str = "",
    ) -> Entry:
        """Make an entry that owns its bytes; ``born`` as ``Response`` has it.

        A tensor may be a window into a whole message off the wire; kept as it is, it would keep the
        message too.
        """
        outputs = tuple(
            Tensor(tensor.name, tensor.datatype, tensor.shape, bytes(tensor.data), tensor.parameters)
            for tensor in response.outputs
        )
        size = size_of(response)
        held = replace(response, outputs=outputs, born=born)
        return cls(held, soft_expiry, hard_expiry, compute_s, size, holder)

    def at(self, level: str) -> Entry:
        """Return the entry whose answer says that it was held at ``level``."""
        provenance = replace(self.response.provenance, level=level)
        return replace(self, response=replace(self.response, provenance=provenance))

    def for_whom(self, request: Request) -> Entry:
        """Return the entry as it is held for who sent ``request``."""
        caller = request.caller
        return replace(
            self,
            holder=caller.tenant,
            residency=caller.residency,
            regions=frozenset() if request.regions is None else request.regions,
        )


class Evicted(Struct, frozen=True):
    """How many entries have left a level for one cause since the start, and their bytes."""

    entries: int = 0
    bytes: int = 0


class HolderBytes(Struct, frozen=True):
    """What one holder's entries take of a level, and what of it is reserved for them (0: nothing)."""

    holder: str
    bytes: int
    reserved_bytes: int


class LevelStats(Struct, frozen=True):
    """A level in this process, as it is now. Look-ups are counted by who looks (``CacheLookedUp``).

    ``evictions``: by cause, every one of ``EVICTION_CAUSES``. ``holders``: the largest holders, by
    ``HolderBytes.bytes``; those without a quota of their own are one, ``""``. ``estimates``: hit ratios, in
    [0, 1], that a level of ``half``, the ``same`` and ``double`` the bytes would have; none: not known (yet).
    """

    entries: int
    bytes: int
    max_bytes: int
    evictions: Mapping[str, Evicted]
    holders: tuple[HolderBytes, ...] = ()
    estimates: Mapping[str, float] = {}


class Level(Protocol):
    """A place that remembers answers by key, and may forget any of them at any time.

    No method raises on account of the place behind it: a level that is down, slow, full or lying has
    nothing and keeps nothing. The level reports a look-up that gives nothing (``miss``, ``garbage``,
    ``error``, ``skipped``); what an entry that it gives is good for, its reader reports.
    """

    @property
    def name(self) -> str:
        """One of ``gateway.core.cache_levels``: the level that a response's provenance names."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other gateways read here: then only answers with a bound on their risk are put."""
        ...

    async def get(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``; its answer names this level. It may be past its expiry."""
        ...

    async def put(self, key: bytes, entry: Entry) -> None:
        """Hold ``entry``, perhaps a little later, perhaps not at all."""
        ...

    async def delete(self, key: bytes) -> None:
        """Forget ``key``, perhaps a little later."""
        ...

    async def aclose(self) -> None:
        """Finish what was put and let go of everything."""
        ...


class NearLevel(Level, Protocol):
    """A level in this process, which answers without waiting. It is the first of all levels."""

    @property
    def has_room(self) -> bool:
        """Whether it can hold anything at all."""
        ...

    def peek(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``, as ``get`` does, without a coroutine."""
        ...

    def glance(self, key: bytes) -> Entry | None:
        """Return what ``peek`` returns, without a report where that is nothing."""
        ...

    def stored(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``. For the level this is no look-up and no hit."""
        ...

    async def forget(self, model: str) -> None:
        """Forget all answers of ``model``."""
        ...

    def reserve(self, quotas: Mapping[str, float]) -> None:
        """Reserve for each of these holders its percent of the bytes; those of before hold no longer."""
        ...

    def stats(self) -> LevelStats:
        """Return what it holds and what has left it."""
        ...


Levels = tuple[NearLevel, *tuple[Level, ...]]
"""All levels of a cache, fastest first. The first is looked up without waiting."""


class LevelError(Exception):
    """A level cannot be made with these settings. The message is fit for the log: it holds no secret."""


class LevelParts(Struct, frozen=True):
    """What levels are made with. ``gate`` makes the gate in front of the place of that name."""

    gate: Callable[[str, GateSettings], Gate]
    clock: Clock
    telemetry: Telemetry


def size_of(response: Response) -> int:
    """Return what an entry with this answer takes in memory, in bytes."""
    return ENTRY_BYTES + sum(map(_size, response.outputs)) + _size_of(response.parameters)


def _size(tensor: Tensor) -> int:
    elements = element_count(tensor.shape) if tensor.datatype == BYTES else 0
    size = TENSOR_BYTES + len(tensor.data) + ELEMENT_BYTES * elements
    return size + _size_of(tensor.parameters) if tensor.parameters else size


def _size_of(parameters: Mapping[str, Parameter]) -> int:
    """Return what parameters take; a character takes up to four bytes."""
    texts = sum(
        len(name) + (len(value) if isinstance(value, str) else 0) for name, value in parameters.items()
    )
    return PARAMETER_BYTES * len(parameters) + 4 * texts
