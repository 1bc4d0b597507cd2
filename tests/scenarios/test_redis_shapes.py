"""Redis as it is really run, behind a gateway's process: TLS, Sentinels, a cluster. No request ever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.fakes.certificates import Authority
from tests.fakes.counted_central import CountedCentral
from tests.fakes.redis_server import RedisServer, free_port
from tests.fakes.redis_shapes import ClusterServers, Sentinels
from tests.fakes.served import Served
from tests.scenarios.stampede import HANG_S, ask, gateways, metric

pytestmark = [pytest.mark.redis, pytest.mark.e2e]

PICTURES = range(20)
PASSWORD = "hunter2"


def found(served: Served) -> float:
    return metric(served, 'edgeway_cache_lookups_total{level="l2",outcome="hit"}')


def says_nothing_secret(served: Served) -> None:
    """Neither the log nor what the admin port shows has the password."""
    shown = "".join(served.get(served.admin, path)[1] for path in ("/metrics", "/cache", "/readyz"))
    assert PASSWORD not in shown
    assert PASSWORD not in served.log()


async def under_load(served: list[Served], trouble: Callable[[], None]) -> None:
    """Ask all the time while ``trouble`` goes on in a thread, and a while after it: nothing fails."""
    begun = asyncio.create_task(asyncio.to_thread(trouble))
    rounds_after = 0
    while rounds_after < 3:
        assert set(await ask(served, 1, PICTURES)) == {200}
        rounds_after += begun.done()
    await begun


async def each_finds_what_the_other_made(served: list[Served]) -> None:
    """Sooner or later: while a cluster is not known yet, or answers are short-lived, some are made twice."""
    async with asyncio.timeout(HANG_S):
        while not found(served[1]):
            assert set(await ask(served[:1], 1, PICTURES)) == {200}
            assert set(await ask(served[1:], 1, PICTURES)) == {200}


async def test_tls_with_a_certificate_of_the_client(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    own, client = ca.issue("localhost"), ca.issue("gateway")
    port = free_port()
    arguments = {
        "--tls-port": port,
        "--tls-cert-file": own.certificate,
        "--tls-key-file": own.key,
        "--tls-ca-cert-file": ca.root,
        "--tls-auth-clients": "yes",
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    files = {"ssl_ca_certs": ca.root, "ssl_certfile": client.certificate, "ssl_keyfile": client.key}
    query = "&".join(f"{name}={quote(str(path), safe='')}" for name, path in files.items())
    user = ("--user", "edge", "on", f">{PASSWORD}", "+@all", "~*")
    with RedisServer(*words, *user):
        url = f"rediss://edge:{PASSWORD}@localhost:{port}/0?{query}"
        async with (
            CountedCentral() as central,
            gateways(tmp_path, 2, url, central.port) as served,
        ):
            await each_finds_what_the_other_made(served)
            for each in served:
                says_nothing_secret(each)


async def test_a_fail_over_behind_sentinels(tmp_path: Path) -> None:
    def trouble() -> None:
        shape.master.kill()
        shape.fail_over()

    with Sentinels() as shape:
        async with (
            CountedCentral() as central,
            gateways(tmp_path, 2, shape.url, central.port, cache="\n  central_ttl_s: 1") as served,
        ):
            await each_finds_what_the_other_made(served)
            await under_load(served, trouble)
            replica = shape.client(shape.replica)
            replica.flushall()
            async with asyncio.timeout(HANG_S):
                while not replica.dbsize():
                    assert set(await ask(served, 1, PICTURES)) == {200}


async def test_a_cluster_is_resharded_and_loses_a_node(tmp_path: Path) -> None:
    def trouble() -> None:
        for slot in range(0, 5461, 100):
            cluster.move(slot, 0, 1)
        cluster.servers[2].kill()

    with ClusterServers() as cluster:
        async with (
            CountedCentral() as central,
            gateways(tmp_path, 2, cluster.url, central.port, cache="\n  central_ttl_s: 1") as served,
        ):
            await each_finds_what_the_other_made(served)
            await under_load(served, trouble)
            assert sum(found(each) for each in served) > 0
