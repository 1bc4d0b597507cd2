"""Where an endpoint is."""

from __future__ import annotations

import ssl

from gateway.http.client.tls import FixedTls
from gateway.upstreams.destination import destination_of
from gateway.upstreams.outgoing import PLAIN, Outgoing
from gateway.upstreams.settings import ConnectSettings
from tests.fakes.tls import KeptLoad


async def test_it_is_called_by_its_address_unless_it_has_a_name():
    """And spoken to in the clear unless it has TLS."""
    plain = destination_of("far", 80, ConnectSettings(), authority="far:80", outgoing=PLAIN, tls=None)
    assert (plain.scheme, plain.authority, plain.path_prefix) == ("http", "far:80", "")
    assert plain.pairs() == (("user-agent", "edgeway"),)
    outgoing = Outgoing(
        ip="10.0.0.1",
        host="iris.example",
        path_prefix="/b/",
        headers=(("X-A", "1"),),
        server_name="certified.example",
        on_load=KeptLoad(),
    )
    tls = FixedTls(ssl.create_default_context())
    named = destination_of(
        "far", 443, ConnectSettings(), authority="far:443", outgoing=outgoing, tls=tls, path_prefix="/a/"
    )
    assert (named.scheme, named.authority, named.path_prefix) == ("https", "iris.example", "/a/b")
    assert named.pairs()[1:] == (("endpoint-load-metrics-format", "text"), ("x-a", "1"))
    assert await named.dialer.addresses.resolve() == ["10.0.0.1"]
    assert "certified.example:443" in repr(named.dialer)
