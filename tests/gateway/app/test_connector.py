"""The connection to an endpoint, by its protocol."""

from __future__ import annotations

from random import Random

import pytest

from gateway.app.connector import Connector
from gateway.core.clock import LoopClock
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from gateway.upstreams.settings import UpstreamSettings
from routing.policy import Endpoint


@pytest.mark.parametrize(("protocol", "kind"), [("grpc", GrpcUpstream), ("http", HttpUpstream)])
async def test_the_definition_names_the_protocol(protocol, kind: type) -> None:
    """Each has its own upstream and its own settings."""
    settings = UpstreamSettings()
    connector = Connector(LoopClock(), Random(1), settings)
    endpoint = Endpoint(tier="central", region="there", protocol=protocol, address="127.0.0.1:9")

    upstream = connector.connect("central", endpoint)

    assert isinstance(upstream, kind)
    assert upstream.refresh_s == getattr(settings, protocol).dns_refresh_rate_s
    await upstream.aclose()
