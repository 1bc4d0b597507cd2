"""Another geo database: whoever is known already is where it says, on connections that are open, too."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import yaml

from gateway.app import geo
from gateway.app.gateway import open_gateway
from gateway.config.settings import load_settings
from tests.fakes.application import connection
from tests.fakes.http import read_answer
from tests.routing.mmdb import mmdb
from tests.scenarios.test_silent_proxy import BODY, POLICY, US
from tests.scenarios.world import digits

REQUEST = (
    f"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {US}\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
).encode() + BODY


def database(country: str, built: int) -> bytes:
    record = {"country_code": country}
    return mmdb(record, record, build_epoch=built)


@pytest.mark.parametrize("is_watched", [True, False])
async def test_a_caller_who_is_known_is_where_the_new_database_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_watched: bool
) -> None:
    """The same request on the same connection, until the client is elsewhere: by the watch, or by SIGHUP.

    With SIGHUP a policy is there that cannot be used: it has nothing to do with where clients are.
    """
    monkeypatch.setattr(geo, "WATCH_S", 0.02 if is_watched else 3600.0)
    (tmp_path / "geo.mmdb").write_bytes(database("US", 1_700_000_000))
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    (tmp_path / "settings.yaml").write_text(f"""\
role: edge
region: here
listen: {{http: '127.0.0.1:0', grpc: null, admin: null}}
policy: policy.yaml
trusted_proxies: [127.0.0.1/32]
geo: {{database: geo.mmdb}}
models: {{repository: '{digits.EDGE_REPOSITORY}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
""")
    async with AsyncExitStack() as lifetimes:
        gateway = await open_gateway(load_settings(tmp_path / "settings.yaml", {}), None, lifetimes)
        assert gateway.servers.http is not None
        async with connection(gateway.servers.http.port) as (reader, writer):

            async def status() -> int:
                writer.write(REQUEST)
                return (await read_answer(reader)).status

            for _ in range(4):
                writer.write(REQUEST)
                answer = await read_answer(reader)
                assert answer.status == 200, answer.body
            (tmp_path / "new.mmdb").write_bytes(database("GB", 1_700_000_001))
            (tmp_path / "new.mmdb").rename(tmp_path / "geo.mmdb")
            if not is_watched:
                (tmp_path / "policy.yaml").write_text("no policy")
                await gateway.reload()
            async with asyncio.timeout(20):
                while await status() == 200:
                    await asyncio.sleep(0)
            assert await status() == 503
            writer.close()


async def test_an_asn_database_beside_it_is_replaced_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A route for an autonomous system takes a client whom the new file has there, on a connection that is open.

    Before, the edge's own model answers; then the route's endpoint is asked, where nobody listens.
    """
    monkeypatch.setattr(geo, "WATCH_S", 0.02)

    def asns(number: int, built: int) -> bytes:
        record = {"autonomous_system_number": number}
        return mmdb(record, record, kind="GeoLite2-ASN", build_epoch=built)

    partner = {"name": "partner", "match": {"model": "digits", "asns": [64500]}, "endpoints": ["there"]}
    policy = POLICY | {"routes": [partner, *POLICY["routes"]]}
    (tmp_path / "geo.mmdb").write_bytes(database("US", 1_700_000_000))
    (tmp_path / "asn.mmdb").write_bytes(asns(64501, 1_700_000_000))
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    (tmp_path / "settings.yaml").write_text(f"""\
role: edge
region: here
listen: {{http: '127.0.0.1:0', grpc: null, admin: null}}
policy: policy.yaml
trusted_proxies: [127.0.0.1/32]
geo: {{database: [geo.mmdb, asn.mmdb]}}
models: {{repository: '{digits.EDGE_REPOSITORY}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
""")
    async with AsyncExitStack() as lifetimes:
        gateway = await open_gateway(load_settings(tmp_path / "settings.yaml", {}), None, lifetimes)
        assert gateway.servers.http is not None
        async with connection(gateway.servers.http.port) as (reader, writer):

            async def status() -> int:
                writer.write(REQUEST)
                return (await read_answer(reader)).status

            assert await status() == 200
            # A file of places in its stead is refused, and the one in use stays.
            (tmp_path / "asn.mmdb").write_bytes(database("US", 1_700_000_001))
            async with asyncio.timeout(20):
                while not gateway.health()["geo"]["error"]:
                    await asyncio.sleep(0.01)
            assert await status() == 200
            (tmp_path / "new.mmdb").write_bytes(asns(64500, 1_700_000_002))
            (tmp_path / "new.mmdb").rename(tmp_path / "asn.mmdb")
            async with asyncio.timeout(20):
                while await status() == 200:
                    await asyncio.sleep(0)
            assert await status() == 503
            writer.close()
