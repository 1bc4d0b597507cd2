"""A trusted proxy that does not say who the client is: its own place is not taken for the client's."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
import yaml

from gateway.app.gateway import open_gateway
from gateway.config.settings import load_settings
from tests.fakes.application import connection
from tests.scenarios.world import digits

US, OTHER_US, GB = "149.101.100.1", "149.101.100.9", "2.2.3.4"
"""Addresses of the test database; those of the US are the proxy's, and belong to its network."""

NAMES_NOBODY = [
    "",
    "X-Forwarded-For: unknown\r\n",
    "X-Forwarded-For:\r\n",
    "X-Forwarded-For: ,,,\r\n",
    f"X-Forwarded-For: {US}, {OTHER_US}\r\n",
    f"X-Forwarded-For: {OTHER_US}:443\r\n",
    "X-Forwarded-For: 10.1.2.3\r\n",
    "X-Forwarded-For: fe80::1%eth0\r\n",
    "X-Forwarded-For: 216.160.83.56, _hidden\r\n",
    "X-Forwarded-For: for=216.160.83.56\r\n",
    "X-Forwarded-For: 216.160.83.56%eth0\r\n",
    "Forwarded: for=216.160.83.56\r\n",
    "Forwarded: for=unknown\r\n",
    "X-Real-IP: 216.160.83.56\r\n",
]
POLICY = {
    "generation": 1,
    "regions": {"here": {}, "there": {}},
    "residency": {"anywhere": {"regions": ["*"]}, "only-there": {"regions": ["there"]}},
    "tenants": {"anonymous": {"residency": "anywhere"}},
    "places": {"GB": "only-there"},
    "endpoints": {
        "there": {
            "tier": "central",
            "region": "there",
            "protocol": "grpc",
            "address": "127.0.0.1:1",  # nobody listens there, also of other test runs
        }
    },
    "routes": [{"name": "digits", "match": {"model": "digits"}, "cascade": {}, "endpoints": ["there"]}],
}
BODY = (
    b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "FP32", "data": '
    + str(np.zeros(784).tolist()).encode()
    + b"}]}"
)


class Gateway:
    """A gateway of the region `here`, behind a balancer that speaks PROXY protocol."""

    def __init__(self, folder: Path, trusted: str) -> None:
        (folder / "policy.yaml").write_text(yaml.safe_dump(POLICY))
        self._file = folder / "settings.yaml"
        self._file.write_text(f"""\
role: edge
region: here
listen: {{http: '127.0.0.1:0', grpc: null, admin: null, proxy_protocol: true}}
policy: policy.yaml
{trusted}
geo: {{database: '{Path(__file__).parents[1] / "data/geo/GeoIP2-City-Test.mmdb"}'}}
models: {{repository: '{digits.EDGE_REPOSITORY}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
""")

    async def ask(self, *requests: tuple[bytes, str]) -> list[int]:
        """Statuses of requests, each a PROXY header and more headers; 200: answered in this region."""
        async with AsyncExitStack() as lifetimes:
            gateway = await open_gateway(load_settings(self._file, {}), None, lifetimes)
            assert gateway.servers.http is not None
            return [await self._one(gateway.servers.http.port, *request) for request in requests]

    async def _one(self, port: int, proxy: bytes, headers: str) -> int:
        async with connection(port) as (reader, writer):
            writer.write(
                proxy
                + f"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\n{headers}"
                f"Connection: close\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
                + BODY
            )
            status = int((await reader.read())[9:12])
            writer.close()
            await writer.wait_closed()
            return status


def of(client: str) -> bytes:
    return f"PROXY TCP4 {client} 127.0.0.1 1 2\r\n".encode()


PROXIES = "trusted_proxies: [149.101.100.0/24]"
GATEWAYS = "trusted_gateways: [149.101.100.0/24]"


@pytest.mark.parametrize("trusted", [PROXIES, GATEWAYS])
async def test_client_that_is_not_named_may_be_anywhere(tmp_path: Path, trusted: str) -> None:
    """It is held to what all places allow, here to another region; one that is named is where it is."""
    named = [(of(US), "X-Forwarded-For: 216.160.83.56\r\n"), (of(US), f"X-Forwarded-For: {GB}\r\n")]

    statuses = await Gateway(tmp_path, trusted).ask(*named, *((of(US), headers) for headers in NAMES_NOBODY))

    assert statuses == [200, 503, *(503 for _ in NAMES_NOBODY)]


async def test_connection_of_the_balancer_itself_has_no_place(tmp_path: Path) -> None:
    """`LOCAL` and `UNKNOWN` name no client, whether or not the balancer is trusted about other headers."""
    local = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
    silent = [(proxy, "") for proxy in (local, b"PROXY UNKNOWN\r\n")]

    assert await Gateway(tmp_path, "").ask((of(US), ""), *silent) == [200, 503, 503]
    trusted = Gateway(tmp_path, "trusted_proxies: [127.0.0.1/32]")
    forwarded = (local, "X-Forwarded-For: 216.160.83.56\r\n")
    assert await trusted.ask(forwarded, *silent) == [200, 503, 503]
