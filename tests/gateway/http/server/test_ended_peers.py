"""Why peers were ended."""

from __future__ import annotations

import logging

import pytest

from gateway.http.server.ended_peers import REPORT_S, EndedPeers, Ending


def test_one_line_for_many(caplog: pytest.LogCaptureFixture):
    """It names the settings that decide it, and comes at most once in a while."""
    ended = EndedPeers()
    with caplog.at_level(logging.WARNING):
        ended.report(0.0)
        assert not caplog.messages
        for _ in range(1000):
            ended.note(Ending.SLOW_BODY)
        ended.note(Ending.IDLE_STREAM)
        for tick in range(8):
            ended.report(1.0 + tick)
            ended.note(Ending.UNREAD)
        ended.report(1.0 + REPORT_S)
        ended.report(2.0 + 2 * REPORT_S)

    first, second = caplog.messages
    assert "1000 bodies too slow (min_body_bytes_per_s, request_timeout_s), 1 streams idle" in first
    assert "8 answers unread" in second
    assert repr(ended) == "<EndedPeers, 1009>"
