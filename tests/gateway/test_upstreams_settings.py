"""Settings of the upstreams."""

from __future__ import annotations

import msgspec
import pytest

from gateway.listeners.settings import HttpSettings
from gateway.upstreams.settings import HttpUpstreamSettings


def test_idle_connections_are_dropped_before_the_other_side_drops_them():
    """A request must not be sent into a connection that is being closed."""
    assert HttpUpstreamSettings().keepalive_s < HttpSettings().keepalive_timeout_s


@pytest.mark.parametrize("raw", ['{"connections":-1}', '{"connect_timeout_s":0}', '{"retries":3}'])
def test_nonsense_is_refused(raw):
    """Ranges hold, and an unknown field is an error."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=HttpUpstreamSettings)
