"""Of a configuration, what a gateway before the model must know of its answers."""

from __future__ import annotations

import pytest

from gateway.wire.oip.configured_answers import (
    NOTHING_CONFIGURED,
    forbids_cache,
    read_configured_answers,
)


@pytest.mark.parametrize(
    ("config", "may_be_kept"),
    [
        (b"{}", True),
        (b'{"response_cache": null}', True),
        (b'{"response_cache": {"enable": true}}', True),
        (b'{"response_cache": {"enable": false}}', False),
        (b'{"response_cache": {}}', False),
    ],
)
def test_only_a_cache_that_is_not_enabled_forbids(config: bytes, may_be_kept: bool) -> None:
    """That it is there matters: without one the gateway decides."""
    assert read_configured_answers(config).may_be_kept is may_be_kept


def test_outputs_with_labels() -> None:
    found = read_configured_answers(
        b'{"name": "m", "output": [{"name": "a", "label_filename": "l.txt"}, {"name": "b"},'
        b' {"name": "c", "label_filename": ""}]}'
    )
    assert found.labelled == {"a"}


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"response_cache": 1}',
        b'{"response_cache": {"enable": "no"}}',
        b'{"output": {}}',
        b'{"output": [{"name": 1, "label_filename": "l"}]}',
        b'{"output": ' + b"[" * 100_000,
    ],
)
def test_what_is_not_as_triton_has_it_says_nothing(config: bytes) -> None:
    assert read_configured_answers(config) == NOTHING_CONFIGURED


@pytest.mark.parametrize(
    ("cache", "forbids"),
    [({"enable": False}, True), ({}, True), ({"enable": True}, False), (None, False), ([], False)],
)
def test_object_forbids(cache: object, forbids: bool) -> None:
    assert forbids_cache({"response_cache": cache}) is forbids
    assert not forbids_cache({})
