"""What an operator asks of one answer in the caches, and what is said of it: no value, and no secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

ABSENT, FRESH, STALE, EXPIRED = "absent", "fresh", "stale", "expired"


class CacheQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which answer: the one under ``key`` (hex), or that to a request.

    ``request``: its body in the protocol's JSON. ``tenant``: whose it is, as the policy names it; empty: of
    somebody who has not said. ``client_address``: where it comes from, which may give it another residency
    class; ``residency``: a class by its name, whatever the policy gives. ``headers``: of those that go on to
    endpoints or choose routes, those that the request has.
    """

    key: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-fA-F]{64})?\Z")] = ""
    model: str = ""
    version: str = ""
    tenant: str = ""
    client_address: str = ""
    residency: str | None = None
    headers: Mapping[str, str] = {}
    request: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def body(self) -> bytes:
        """The body of the request; empty: none is named."""
        body = bytes(self.request).strip()
        return b"" if body == b"null" else body


class HeldOutput(msgspec.Struct, frozen=True):
    """An output of an answer that is held; ``bytes``: how many its data has."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    bytes: int


class HeldAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one level holds under a key.

    ``fresh_s``: seconds for which it is fresh, negative since when it is not; ``useful_s``: seconds for which
    it may stand in for one that cannot be had. ``compute_ms``: what computing it took. ``size``: bytes in
    memory.
    """

    fresh_s: float
    useful_s: float
    compute_ms: float
    size: int
    model: str
    version: str
    origin: str
    certified: bool
    region: str
    digest: str
    outputs: tuple[HeldOutput, ...]


class LevelFinding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one level has.

    ``state``: ``absent`` (a level outside may as well not have answered: ``level_state`` says how it is),
    ``fresh``, ``stale``: it may stand in for one that cannot be had, or ``expired``. ``worker``: of which of
    several processes.
    """

    level: str
    state: str
    worker: int | None = None
    level_state: str = ""
    answer: HeldAnswer | None = None


class Inspection(msgspec.Struct, frozen=True):
    """What is known of one answer.

    ``key``: empty where the request has none. ``reasons``: why its answers are not kept; none: they are.
    ``route``, ``model``, ``version``, ``tenant`` and ``residency`` are those of the request; empty where only
    a key was named. ``scope``: who shares the answer.
    """

    key: str = ""
    route: str = ""
    model: str = ""
    version: str = ""
    tenant: str = ""
    residency: str = ""
    scope: str = ""
    reasons: tuple[str, ...] = ()
    levels: tuple[LevelFinding, ...] = ()


def of_workers(found: Sequence[tuple[int, Inspection]], shared: frozenset[str]) -> Inspection:
    """Return what several workers, by number, found, as one; of ``shared`` levels all would find the same."""
    first = found[0][1]
    levels = [
        msgspec.structs.replace(level, worker=None if level.level in shared else number)
        for place, (number, inspection) in enumerate(found)
        for level in inspection.levels
        if not place or level.level not in shared
    ]
    levels.sort(key=lambda level: level.level)
    return msgspec.structs.replace(first, levels=tuple(levels))
