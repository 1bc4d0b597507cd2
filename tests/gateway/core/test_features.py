"""What the repository declares, and what clients see of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.features import EnrichedInput, EnrichFile, seen_by_clients

ENTRY = {"from": "users", "key": "id", "input": "user", "default": [1, 2]}


def read(*entries: dict[str, Any]) -> tuple[EnrichedInput, ...]:
    return msgspec.convert({"enrich": entries}, EnrichFile).enrich


def test_defaults() -> None:
    (entry,) = read(ENTRY)
    assert (entry.store, entry.datatype, entry.elements, entry.pass_on) == ("users", "BYTES", 2, False)
    (sized,) = read({"from": "users", "key": "id", "input": "user", "size": 3})
    assert (sized.default, sized.elements) == ("refuse", 3)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "length"),
        ([{**ENTRY, "key": "user"}], "key and input are both 'user'"),
        ([{**ENTRY, "size": 3}], "default has 2 elements, and size says 3"),
        ([{"from": "users", "key": "id", "input": "user"}], "size is missing"),
        ([{**ENTRY, "default": "zero"}], "Invalid enum value|default"),
        ([{**ENTRY, "datatype": "FP32"}], "Invalid enum value"),
        ([{**ENTRY, "typo": 1}], "unknown field `typo`"),
        ([ENTRY, ENTRY], "fill the same input"),
        ([ENTRY, {**ENTRY, "key": "user", "input": "x"}], "input 'user' is a key"),
        ([ENTRY, {**ENTRY, "input": "x", "datatype": "INT64"}], "differ in datatype or pass_on"),
    ],
)
def test_refused(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        read(*entries)


def test_clients_see_keys_once_and_nothing_that_is_filled() -> None:
    spec = ModelSpec(
        "shop",
        ("1",),
        "",
        (
            TensorSpec("x", "FP32", (-1, 2)),
            TensorSpec("user", "FP32", (-1, 2)),
            TensorSpec("y", "FP32", (-1, 2)),
        ),
        (),
    )
    enriched = read(ENTRY, {**ENTRY, "input": "y"})

    assert seen_by_clients(spec, enriched).inputs == (spec.inputs[0], TensorSpec("id", "BYTES", (-1, 1)))
    assert seen_by_clients(seen_by_clients(spec, enriched), enriched) == seen_by_clients(spec, enriched)
    assert seen_by_clients(spec, ()) == spec
    passed_on = read({**ENTRY, "key": "x", "pass_on": True})
    assert [each.name for each in seen_by_clients(spec, passed_on).inputs] == ["x", "y"]
