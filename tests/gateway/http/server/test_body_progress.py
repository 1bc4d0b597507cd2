"""Whether a body comes fast enough."""

from __future__ import annotations

import pytest

from gateway.http.server.body_progress import BodyProgress
from gateway.http.server.settings import TransportSettings

SETTINGS = TransportSettings(body_timeout_s=10, min_body_bytes_per_s=100, request_timeout_s=60)


def ends_after(*arrivals: tuple[float, int]) -> float | None:
    """When a body is late of which so many bytes come at such times; None: not within 100 s."""
    progress, size, left = BodyProgress(0.0), 0, list(arrivals)
    for tick in range(1, 401):
        now = tick / 4
        while left and left[0][0] <= now:
            size += left.pop(0)[1]
        if progress.is_late(size, now, SETTINGS):
            return now
    return None


@pytest.mark.parametrize(
    ("arrivals", "ends"),
    [
        ([], 10.25),
        ([(0.0, 1 << 26)], 10.5),
        ([(0.0, 1 << 26), *((float(second), 1) for second in range(1, 99))], 10.5),
        ([(9.0, 999)], 10.25),
        ([(9.0, 1000)], 19.25),
        ([(9.0 * number, 1000) for number in range(12)], 60.25),
        ([(second / 2, 1000) for second in range(200)], 60.25),
    ],
    ids=[
        "nothing",
        "all but the end at once",
        "then it drips",
        "too little",
        "enough",
        "just enough",
        "fast",
    ],
)
def test_the_window_and_the_deadline(arrivals, ends):
    """What came before a window is no credit in it, and nothing lasts beyond the deadline."""
    assert ends_after(*arrivals) == ends


def test_an_excuse():
    """Where this side did not read, a new window begins; the deadline stays."""
    progress = BodyProgress(0.0)
    for second in range(0, 60, 5):
        progress.excuse(0, float(second))
        assert not progress.is_late(0, second + 0.1, SETTINGS)
    assert repr(progress) == "<BodyProgress 0 bytes at 55>"
    progress.excuse(0, 60.1)
    assert progress.is_late(0, 60.1, SETTINGS)
