"""One input of one request: the entities that it names, and the tensor that their vectors become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import numpy as np

from cache.features.entities import entities_of, vectors_shape
from cache.features.loader import FAILED, FeatureLoader, LoadedVector
from cache.features.vectors import FLOAT_BYTES
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.features import DEFAULTED, OUTDATED, REFUSE, EnrichedInput
from gateway.core.request import Caller
from gateway.core.tensor import Buffer, Tensor

MOST_FILLED_BYTES: Final = 16 << 20
"""Of one input: putting them together takes about 1 ms a MiB."""
RETRY_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class VectorSource:
    """Where one input of a model comes from.

    ``entry``: what the repository declares. ``most``: entities of one request at most. ``refuses``: the route
    has requests refused while the store cannot be asked, whatever default the model has.
    """

    entry: EnrichedInput
    loader: FeatureLoader
    region: str
    most: int
    refuses: bool = False

    def __repr__(self) -> str:
        return f"<VectorSource of {self.entry.input}: {self.loader}>"

    @property
    def default(self) -> bytes | None:
        """The default as it stands in a tensor; None: there is none."""
        default = self.entry.default
        return None if default == REFUSE else np.asarray(default, np.dtype("<f4")).tobytes()

    def allows(self, regions: frozenset[str] | None) -> bool:
        """Whether requests that ``regions`` may see may be seen where the store is."""
        return regions is None or self.region in regions

    def names(self, key: Tensor, caller: Caller) -> list[bytes]:
        """Return what the store calls the entities in ``key``, in their order.

        Raises:
            GatewayError: INVALID, TOO_LARGE: the caller's mistake.
        """
        ids = entities_of(key, self.entry.datatype, self.most)
        if len(ids) * self.entry.elements * FLOAT_BYTES > MOST_FILLED_BYTES:
            raise GatewayError(
                Fault.TOO_LARGE,
                f"input '{printable(key.name)}' names {len(ids):,} entities of {self.entry.elements:,} "
                f"elements each: more than {MOST_FILLED_BYTES >> 20} MiB; send several requests",
            )
        prefix = self.prefix(caller)
        return [prefix + each for each in ids] if prefix else ids

    def prefix(self, caller: Caller) -> bytes:
        """Return what stands before the ids of this caller. A tenant's name cannot reach into an id."""
        if self.loader.settings.key_prefix == "none":
            return b""
        return quote(caller.tenant, safe="").encode() + b":"

    def put_together(self, vectors: Sequence[bytes]) -> bytes | None:
        """Return the data of the filled input; None where a vector is not one of the model's."""
        size = self.entry.elements * FLOAT_BYTES
        if any(len(vector) != size for vector in vectors):
            return None
        return vectors[0] if len(vectors) == 1 else b"".join(vectors)

    def tensor(self, shape: tuple[int, ...], data: Buffer) -> Tensor:
        """Return the filled input for a key of ``shape``."""
        return Tensor(self.entry.input, "FP32", vectors_shape(shape, self.entry.elements), data)

    def fill(self, names: Sequence[bytes], found: Mapping[bytes, LoadedVector]) -> tuple[bytes, str]:
        """Return the data for ``names``, and in a word of ``gateway.core.features`` what it lacks.

        Raises:
            GatewayError: INVALID where an entity is absent and there is no default; UNAVAILABLE where a
                vector cannot be had, and the route or the model has no default for that.
        """
        size, default, state = self.entry.elements * FLOAT_BYTES, self.default, ""
        parts: list[bytes] = []
        for place, name in enumerate(names):
            vector = found.get(name, FAILED)
            data = vector.data
            if data is not None and len(data) != size:
                self.loader.spoil(name)
                vector, data = FAILED, None
            if data is None:
                if vector.is_known and default is None:
                    raise self._unknown_entity(place)
                if not vector.is_known:
                    if default is None or self.refuses:
                        raise self.refusal()
                    state = DEFAULTED
                data = default
            elif vector.is_stale and not state:
                state = OUTDATED
            assert data is not None, "it was refused otherwise"
            parts.append(data)
        return b"".join(parts), state

    def defaults(self, count: int) -> bytes:
        """Return the data for ``count`` entities of a store that may not be asked.

        Raises:
            GatewayError: UNAVAILABLE where the route or the model has no default for that.
        """
        default = self.default
        if default is None or self.refuses:
            raise GatewayError(
                Fault.UNAVAILABLE,
                f"input '{self.entry.input}' cannot be filled: its store is in a region that may not see "
                "this request",
            )
        return default * count

    def refusal(self) -> GatewayError:
        """Return the error of a request whose vectors cannot be had."""
        return GatewayError(
            Fault.UNAVAILABLE,
            f"input '{self.entry.input}' cannot be filled: its store '{self.loader.name}' does not give "
            "vectors of the model's size now; try again",
            retryable=True,
            retry_after_s=RETRY_AFTER_S,
        )

    def _unknown_entity(self, place: int) -> GatewayError:
        return GatewayError(
            Fault.INVALID,
            f"element {place} of input '{self.entry.key}' names no entity that the store "
            f"'{self.loader.name}' has, and the model has no default for it",
        )
