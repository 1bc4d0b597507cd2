"""Settings of the upstreams."""

from __future__ import annotations

import msgspec
import pytest

from gateway.http.server.settings import TransportSettings as HttpSettings
from gateway.upstreams.settings import GrpcUpstreamSettings, HttpUpstreamSettings, UpstreamSettings


def test_idle_connections_are_dropped_before_the_other_side_drops_them():
    """A request must not be sent into a connection that is being closed."""
    assert HttpUpstreamSettings().keepalive_s < HttpSettings().idle_timeout_s
    assert GrpcUpstreamSettings().idle_s < HttpSettings().idle_timeout_s


@pytest.mark.parametrize("raw", ['{"connections":-1}', '{"connect_timeout_s":0}', '{"retries":3}'])
def test_nonsense_is_refused(raw):
    """Ranges hold, and an unknown field is an error."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=HttpUpstreamSettings)


@pytest.mark.parametrize(
    "raw",
    [
        '{"connections":0}',
        '{"streams_per_connection":0}',
        '{"stream_window_bytes":65534}',
        '{"connection_window_bytes":2147483648}',
        '{"keepalive_s":0}',
        '{"backoff_max_s":-1}',
        '{"max_head_bytes":1}',
        '{"keepalive":1}',
    ],
)
def test_nonsense_over_grpc_is_refused(raw):
    """HTTP/2's own limits are ours."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=GrpcUpstreamSettings)


def test_both_wires_are_set_in_one_place():
    """What is not said stays as it is by default."""
    settings = msgspec.json.decode('{"grpc":{"idle_s":5},"http":{"backoff_max_s":9}}', type=UpstreamSettings)

    assert (settings.grpc.idle_s, settings.grpc.keepalive_s) == (5, 10)
    assert (settings.http.backoff_max_s, settings.http.connections) == (9, 1024)
