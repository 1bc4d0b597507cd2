"""Models whose inputs online stores fill, as clients see them: with the keys, without what is filled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.core.catalog import IndexEntry, ModelSpec, VisibleModels
from gateway.core.features import Enriched, EnrichedInput, seen_by_clients


class CompletedModels:
    """The models of one caller, of which those in ``enriched`` are completed here."""

    def __init__(self, models: VisibleModels, enriched: Enriched) -> None:
        self._models, self._enriched = models, enriched
        self.tenant = models.tenant
        self.is_ready, self.runs_here = models.is_ready, models.runs_here
        self.may_use, self.is_alone = models.may_use, models.is_alone

    def __repr__(self) -> str:
        return f"<CompletedModels {', '.join(sorted(self._enriched))} of {self._models!r}>"

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata of what clients send."""
        spec = await self._models.describe(model, version)
        return seen_by_clients(spec, self._enriched.get(model, ()))

    async def config(self, model: str, version: str) -> bytes | None:
        """Return the configuration of what clients send."""
        config = await self._models.config(model, version)
        entries = self._enriched.get(model, ())
        return config if config is None or not entries else _shown(config, entries)

    async def index(self) -> Sequence[IndexEntry]:
        """Return what the servers behind this one tell."""
        return await self._models.index()


def _shown(config: bytes, entries: Sequence[EnrichedInput]) -> bytes:
    whole: dict[str, Any] = msgspec.json.decode(config)
    filled = {each.input for each in entries}
    inputs = [each for each in whole.get("input") or () if each.get("name") not in filled]
    names = {each.get("name") for each in inputs}
    # A model without a batch dimension has all of a shape in its dims.
    dims = [1] if whole.get("max_batch_size") else [-1, 1]
    for each in entries:
        if each.key not in names:
            names.add(each.key)
            kind = "STRING" if each.datatype == "BYTES" else each.datatype
            inputs.append({"name": each.key, "data_type": f"TYPE_{kind}", "dims": dims})
    return msgspec.json.encode({**whole, "input": inputs})


_: type[VisibleModels] = CompletedModels
