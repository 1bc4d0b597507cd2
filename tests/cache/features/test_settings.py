"""Settings of stores: what contradicts itself is refused, and no password is shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cache.features.settings import FeaturesSettings, StoreSettings

REDIS = {"redis": "redis://user:secret@h:1"}
HTTP = {"http": "http://h:1/x"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "one of redis and http"),
        ({**REDIS, **HTTP}, "one of redis and http"),
        ({**REDIS, "field": "v", "hash": "all"}, "either each entity is a hash"),
        ({**REDIS, "prefix": "u:", "hash": "all"}, "fields of a hash have no prefix"),
        ({**REDIS, "features": ("a:b",)}, "features is of stores with http"),
        ({**REDIS, "known_ids": {"path": "/ids"}}, "known_ids.path is of stores with http"),
        ({**HTTP, "prefix": "u:"}, "prefix is of stores with redis"),
        ({**HTTP, "known_ids": {"set": "x", "path": "/ids"}}, "known_ids.set is of stores with redis"),
        ({**HTTP, "known_ids": {}}, "known_ids.path is missing"),
        ({**HTTP, "protocol": "feast"}, "features is missing"),
        ({**HTTP, "protocol": "feast", "features": ["a:b"], "entity_type": "int"}, "no numbers"),
        ({**REDIS, "timeout_ms": 0}, "timeout_ms"),
        ({"http": "ftp://h"}, "http"),
        ({**REDIS, "jitterr": 1}, "unknown field"),
    ],
)
def test_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({"stores": {"users": fields}}, FeaturesSettings)


def test_names_of_stores() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"stores": {"a b": REDIS}}, FeaturesSettings)


@pytest.mark.parametrize("fields", [REDIS, HTTP])
def test_repr_holds_no_url(fields: dict[str, str]) -> None:
    shown = repr(StoreSettings(**fields))
    assert "h:1" not in shown
    assert next(iter(fields)) in shown
