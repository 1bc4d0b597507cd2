"""Whether a peer takes what waits for it."""

from __future__ import annotations

import pytest

from gateway.http.server.settings import TransportSettings
from gateway.http.server.write_progress import WriteProgress
from tests.fakes.server_context import FakeTransport

SETTINGS = TransportSettings(write_timeout_s=10, min_body_bytes_per_s=100)


@pytest.mark.parametrize(("per_second", "is_stuck"), [(0, True), (90, True), (100, False), (5000, False)])
def test_the_least_that_a_peer_has_to_take(per_second, is_stuck):
    """However much waits."""
    transport = FakeTransport()
    transport.waits = 1 << 20
    progress = WriteProgress(transport, SETTINGS)  # type: ignore[arg-type]
    progress.watch(0.0)
    noted = []
    for second in range(1, 31):
        transport.waits -= per_second
        noted.append(progress.is_stuck(float(second)))

    assert any(noted) is is_stuck
    assert not any(noted[:10])


def test_what_is_not_watched_is_not_stuck():
    """Nothing waits, so nothing has to be taken."""
    transport = FakeTransport()
    progress = WriteProgress(transport, SETTINGS)  # type: ignore[arg-type]
    assert not progress.is_stuck(1e9)
    transport.waits = 5000
    progress.watch(0.0)
    assert repr(progress) == "<WriteProgress watched>"
    assert progress.is_stuck(10.1)
    transport.waits = 0
    assert not progress.is_stuck(1e9)
    assert repr(progress) == "<WriteProgress at rest>"


def test_to_read_a_little_so_that_more_is_written_is_no_progress():
    """Who begins to watch again and again gives no new window; the end of a connection is watched to its end."""
    transport = FakeTransport()
    transport.waits = 5000
    progress = WriteProgress(transport, SETTINGS)  # type: ignore[arg-type]
    for second in range(11):
        progress.watch(float(second))
        assert not progress.is_stuck(float(second))
    assert progress.is_stuck(10.1)
    transport.closed = True
    assert progress.is_stuck(10.1)
