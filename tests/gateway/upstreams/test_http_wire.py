"""What all versions of HTTP have in common."""

from __future__ import annotations

import pytest

from gateway.http.client.evidence import Evidence
from gateway.upstreams.http_wire import evidence_of


@pytest.mark.parametrize(
    ("status", "received", "shown"),
    [
        (200, {}, Evidence.WORKS),
        (500, {}, Evidence.WORKS),
        (502, {}, Evidence.FAILS),
        (503, {}, Evidence.FAILS),
        (503, {"retry-after": "1", "x-edgeway-policy-generation": "1"}, Evidence.NONE),
        (504, {}, Evidence.NONE),
    ],
)
def test_what_a_status_shows_of_an_address(status, received, shown):
    """Overload, and the caller's own time, show nothing."""
    assert evidence_of(status, received) is shown
