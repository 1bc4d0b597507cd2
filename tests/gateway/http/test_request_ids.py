"""Ids of requests are UUIDs, all different, and tell nobody how many there were."""

from __future__ import annotations

from random import Random
from uuid import UUID

from gateway.http.request_ids import RequestIds, no_id

MANY = 2000
"""More than are made at once."""


def test_each_is_a_uuid_of_version_4() -> None:
    """As Envoy's are, so that whatever reads those reads these."""
    ids = RequestIds()

    for _ in range(MANY):
        made = ids.make().decode()
        read = UUID(made)
        assert (str(read), read.version) == (made, 4)
        assert read.variant == "specified in RFC 4122"


def test_they_are_all_different() -> None:
    """Within one process and over two that began alike in everything but chance."""
    one, other = RequestIds(Random(1)), RequestIds(Random(2))

    made = {ids.make() for ids in (one, other) for _ in range(MANY)}

    assert len(made) == 2 * MANY


def test_nobody_counts_others_requests_by_his_own() -> None:
    """Two ids do not tell how many were made between them: they neither grow nor shrink."""
    ids = RequestIds(Random(3))
    made = [ids.make() for _ in range(100)]

    assert made != sorted(made)
    assert made != sorted(made, reverse=True)


def test_switched_off_there_are_none() -> None:
    """Then no answer gets a header."""
    assert no_id() == b""
    assert repr(RequestIds()) == "<RequestIds>"
