"""What is said of one answer in the caches."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.cache_inspection import CacheQuestion, Inspection, LevelFinding, of_workers

ONE = Inspection(key="ab", levels=(LevelFinding("l1", "fresh"), LevelFinding("l2", "fresh")))
TWO = Inspection(key="ab", levels=(LevelFinding("l1", "absent"), LevelFinding("l2", "fresh")))


def test_every_worker_has_a_memory_of_its_own() -> None:
    """What all have in common stands there once, and is nobody's."""
    found = of_workers([(4, ONE), (7, TWO)], frozenset({"l2"}))

    assert found.key == "ab"
    assert [(level.level, level.state, level.worker) for level in found.levels] == [
        ("l1", "fresh", 4),
        ("l1", "absent", 7),
        ("l2", "fresh", None),
    ]


@pytest.mark.parametrize("key", ["", "ab" * 32, "AB" * 32])
def test_keys(key: str) -> None:
    """32 bytes in hex, or none."""
    assert msgspec.json.decode(msgspec.json.encode({"key": key}), type=CacheQuestion).key == key


@pytest.mark.parametrize("key", ["ab", "ab" * 33, "xy" * 32, "ab" * 32 + "\n"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="key"):
        msgspec.json.decode(msgspec.json.encode({"key": key}), type=CacheQuestion)


def test_a_request_travels_as_it_is() -> None:
    """From the parent to its workers: big numbers and all."""
    body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [9007199254740993]}]}'
    question = msgspec.json.decode(b'{"model": "m", "request": ' + body + b"}", type=CacheQuestion)

    again = msgspec.json.decode(msgspec.json.encode(question), type=CacheQuestion)

    assert bytes(again.request) == again.body == body


def test_no_request_travels_as_none() -> None:
    """It is not half a message."""
    again = msgspec.json.decode(msgspec.json.encode(CacheQuestion(key="ab" * 32)), type=CacheQuestion)

    assert again.body == b""
