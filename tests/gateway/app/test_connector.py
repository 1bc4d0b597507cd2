"""The connection to an endpoint, by its protocol."""

from __future__ import annotations

from random import Random

import pytest

from gateway.app.connector import Connector, MemberPlace
from gateway.core.clock import LoopClock
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from gateway.upstreams.settings import H2UpstreamSettings, UpstreamSettings
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


@pytest.mark.parametrize(
    ("address", "ip", "connected"),
    [
        ("central.example:8001", "", "central.example:8001"),
        ("central.example:8001", "10.0.0.7", "10.0.0.7:8001"),
        ("[2001:db8::1]:8001", "2001:db8::1", "[2001:db8::1]:8001"),
    ],
)
def test_a_member_is_where_its_name_leads(address: str, ip: str, connected: str) -> None:
    """Its port is the name's."""
    assert MemberPlace(address, ip).connected == connected


async def test_h2_is_the_rest_protocol() -> None:
    """With settings of its own, over HTTP/2."""
    settings = UpstreamSettings(h2=H2UpstreamSettings(dns_refresh_rate_s=7))
    endpoint = Endpoint(tier="central", region="there", protocol="h2", addresses=("127.0.0.1:9",))
    upstream = Connector(LoopClock(), Random(1), settings).connect("central", endpoint)
    assert (type(upstream), upstream.refresh_s) == (HttpUpstream, 7)
    await upstream.aclose()
