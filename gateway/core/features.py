"""Inputs of a model that an online store fills: what the repository declares, and what clients see of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec

from gateway.core.catalog import ModelSpec, TensorSpec

REFUSE: Final = "refuse"

DEFAULTED: Final = "default"
"""At least one vector could not be had: the store is down, slow, lying, or may not be read."""
OUTDATED: Final = "stale"
"""At least one vector is past its time to live, and no newer one could be had."""

LACKS: Final = frozenset({DEFAULTED, OUTDATED})

MOST_ELEMENTS: Final = 65_536
_ANY_ROWS: Final = (-1, 1)

KeyDatatype = Literal["BYTES", "INT64", "INT32", "UINT64", "UINT32"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class EnrichedInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"store": "from"}
):
    """One input that is filled with vectors from a store.

    ``store`` (``from`` in the file): a store of the settings. ``key``: the input that holds the ids of
    entities, of ``datatype``; it is taken out, unless ``pass_on``: then the model gets it as well. ``input``:
    the input of the model, FP32, that gets a vector of ``size`` elements for each id. ``default``: the vector
    of an entity that the store does not have, and of all while it cannot be asked; ``refuse``: there is none,
    and such requests are refused. ``size`` may be left out where the default has it.
    """

    store: Name
    key: Name
    input: Name
    datatype: KeyDatatype = "BYTES"
    size: Annotated[int, msgspec.Meta(ge=0, le=MOST_ELEMENTS)] = 0
    default: (
        Literal["refuse"] | Annotated[tuple[float, ...], msgspec.Meta(min_length=1, max_length=MOST_ELEMENTS)]
    ) = REFUSE
    pass_on: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.key == self.input:
            raise ValueError(f"key and input are both '{self.key}': the key holds ids, the input vectors")
        if self.default == REFUSE:
            if not self.size:
                raise ValueError("size is missing: say how many elements a vector has, or give a default")
        elif self.size and self.size != len(self.default):
            raise ValueError(f"default has {len(self.default)} elements, and size says {self.size}")

    @property
    def elements(self) -> int:
        """How many elements a vector has."""
        return self.size or len(self.default)


class EnrichFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file ``enrich.json`` in a model's folder."""

    enrich: Annotated[tuple[EnrichedInput, ...], msgspec.Meta(min_length=1, max_length=16)]

    def __post_init__(self) -> None:
        """Refuse an input that is filled twice, or read as a key."""
        filled = [each.input for each in self.enrich]
        if len(set(filled)) < len(filled):
            raise ValueError("two entries fill the same input")
        if both := {each.key for each in self.enrich}.intersection(filled):
            raise ValueError(f"input '{min(both)}' is a key of one entry and filled by another")
        kinds: dict[str, tuple[str, bool]] = {}
        for each in self.enrich:
            kind = (each.datatype, each.pass_on)
            if kinds.setdefault(each.key, kind) != kind:
                raise ValueError(f"entries differ in datatype or pass_on of the key '{each.key}'")


Enriched = Mapping[str, tuple[EnrichedInput, ...]]
"""Model → its inputs that are filled."""

NOT_ENRICHED: Final[Enriched] = MappingProxyType({})


def seen_by_clients(spec: ModelSpec, enriched: Iterable[EnrichedInput]) -> ModelSpec:
    """Return a model's metadata as clients have it: without what is filled, with the keys."""
    entries = tuple(enriched)
    filled = {each.input for each in entries}
    inputs = [each for each in spec.inputs if each.name not in filled]
    names = {each.name for each in inputs}
    for each in entries:
        if each.key not in names:
            names.add(each.key)
            inputs.append(TensorSpec(each.key, each.datatype, _ANY_ROWS))
    return replace(spec, inputs=tuple(inputs))
