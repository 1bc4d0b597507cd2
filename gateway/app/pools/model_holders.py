"""Which endpoints are known not to hold a model: found once for each model, until something changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from gateway.app.pools.pool_models import Extent, ModelChanges, PoolModels

MOST: Final = 1024
"""Models that are remembered: clients may invent names."""

_NOBODY: Final[frozenset[str]] = frozenset()


class ModelPool(Protocol):
    """An endpoint."""

    @property
    def models(self) -> PoolModels:
        """What it holds."""
        ...

    def can_answer(self, model: str, version: str) -> bool:
        """Whether a member that is available may hold a model."""
        ...


class _Lacking(NamedTuple):
    """``wholly``: endpoints at which no member holds a model; ``partly``: where some do."""

    wholly: frozenset[str]
    partly: tuple[str, ...]


class ModelHolders:
    """What is known of the endpoints of one policy: a look-up for each request."""

    def __init__(self, pools: Mapping[str, ModelPool], changes: ModelChanges) -> None:
        self._pools, self._changes = pools, changes
        self._number = changes.number
        self._found: dict[tuple[str, str], _Lacking] = {}

    def __repr__(self) -> str:
        return f"<ModelHolders of {len(self._pools)} endpoints, {len(self._found)} models found>"

    def lacking(self, model: str, version: str) -> frozenset[str]:
        """Return the endpoints that hold no such model, or only where nothing gets through."""
        if self._number != self._changes.number:
            self._number = self._changes.number
            self._found.clear()
        found = self._found.get((model, version))
        if found is None:
            found = self._find(model, version)
        if not found.partly:
            return found.wholly
        pools = self._pools
        return found.wholly.union(name for name in found.partly if not pools[name].can_answer(model, version))

    def _find(self, model: str, version: str) -> _Lacking:
        extents = {name: pool.models.extent(model, version) for name, pool in self._pools.items()}
        wholly = frozenset(name for name, extent in extents.items() if extent is Extent.NONE)
        partly = tuple(name for name, extent in extents.items() if extent is Extent.SOME)
        if len(self._found) >= MOST:
            del self._found[next(iter(self._found))]
        found = self._found[model, version] = _Lacking(wholly or _NOBODY, partly)
        return found


NOTHING_KNOWN: Final = ModelHolders({}, ModelChanges())
