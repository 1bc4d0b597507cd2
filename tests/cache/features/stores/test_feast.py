"""Feast's form of a question and of its answer."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from cache.features.settings import StoreSettings
from cache.features.stores.feast import feast_outcomes, feast_request
from cache.features.vectors import StoreError


def settings(**changes: Any) -> StoreSettings:
    whole = {
        "http": "http://h:6566",
        "protocol": "feast",
        "entity": "driver_id",
        "features": ("stats:rate", "stats:vec"),
        "key_prefix": "none",
        **changes,
    }
    return StoreSettings(**whole)


def body(**changes: Any) -> bytes:
    whole = {
        "metadata": {"feature_names": ["driver_id", "rate", "vec"]},
        "results": [
            {"values": [1, 2, 3], "statuses": ["PRESENT"] * 3, "event_timestamps": ["x"] * 3},
            {"values": [0.5, None, 4], "statuses": ["PRESENT", "NOT_FOUND", "PRESENT"]},
            {"values": [[1, 2], None, None], "statuses": ["PRESENT", "NOT_FOUND", "NULL_VALUE"]},
        ],
        **changes,
    }
    return json.dumps(whole).encode()


def test_question() -> None:
    asked = json.loads(feast_request(settings(), ["1", "2"]))
    assert asked == {"features": ["stats:rate", "stats:vec"], "entities": {"driver_id": ["1", "2"]}}
    asked = json.loads(feast_request(settings(entity_type="int"), ["1", "2"]))
    assert asked["entities"] == {"driver_id": [1, 2]}
    with pytest.raises(StoreError, match="no_number"):
        feast_request(settings(entity_type="int"), ["x"])


@pytest.mark.parametrize("names", [["driver_id", "rate", "vec"], ["driver_id", "stats__rate", "stats__vec"]])
def test_values_follow_each_other_in_the_order_of_the_settings(names: list[str]) -> None:
    """All of them, none, or some: a vector, an absent entity, a failure."""
    found = feast_outcomes(settings(), body(metadata={"feature_names": names}), 3)

    assert found[0] == struct.pack("<3f", 0.5, 1, 2)
    assert found[1] is None
    assert isinstance(found[2], StoreError)
    assert found[2].reason == "incomplete"
    turned = feast_outcomes(settings(features=("stats:vec", "stats:rate")), body(), 3)
    assert turned[0] == struct.pack("<3f", 1, 2, 0.5)


def test_a_value_that_is_no_number_fails_alone() -> None:
    one = settings(features=("stats:rate",))
    results = [{"values": ["x", 1.0]}]
    found = feast_outcomes(one, body(metadata={"feature_names": ["rate"]}, results=results), 2)

    assert isinstance(found[0], StoreError)
    assert found[1] == struct.pack("<f", 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"metadata": {}}',
        body(metadata={"feature_names": ["rate"]}),
        body(results=[]),
        body(results=[{"values": [1]}] * 3),
        body(results=[{"values": [1, 2, 3], "statuses": ["PRESENT"]}] * 3),
    ],
)
def test_what_is_no_such_answer(answer: bytes) -> None:
    with pytest.raises(StoreError, match="garbage"):
        feast_outcomes(settings(), answer, 3)
