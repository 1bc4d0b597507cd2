"""What an endpoint over HTTP is asked about its models: metadata, configurations, the index, and whether they are ready."""

from __future__ import annotations

import pytest

from gateway.core.catalog import IndexEntry, ModelSpec
from gateway.core.errors import Fault
from gateway.upstreams.settings import HttpUpstreamSettings
from gateway.wire.oip.passed_index import MAX_BYTES
from tests.fakes.redis_server import free_port
from tests.fakes.upstreams import (
    fails,
    flags,
    foreign_http,
    http,
    http_upstream,
    scripted_peer,
)


@pytest.mark.parametrize("body", [b"{}", b"<html>"])
async def test_broken_metadata(body):
    """What is no metadata is the other side's failure."""
    async with foreign_http(http(200, body)) as upstream:
        error = await fails(upstream.describe("m", ""))

    assert flags(error) == (Fault.UNAVAILABLE, True, True)


async def test_foreign_metadata():
    """Other servers leave out what they do not know."""
    async with foreign_http(http(200, b'{"name":"m"}')) as upstream:
        assert await upstream.describe("m", "2") == ModelSpec("m", (), "", (), ())


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"max_batch_size":"x"}'])
async def test_broken_configuration_and_index(body):
    """As metadata."""
    async with foreign_http(http(200, body)) as upstream:
        for asking in (upstream.config("m", ""), upstream.index()):
            if body == b"[]" and asking.__name__ == "index":
                assert await asking == []
            else:
                assert flags(await fails(asking)) == (Fault.UNAVAILABLE, True, True)


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_server_that_lists_names_alone(status):
    """KServe has no index, and a list of names."""
    paths = []

    async def play(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1]
            paths.append(path)
            if path == b"/v2/models":
                writer.write(http(200, b'{"models":["m"]}'))
            else:
                await reader.readexactly(2)
                writer.write(http(status, b'{"detail":"Not Found"}'))

    async with scripted_peer(play) as peer, http_upstream(peer.port) as upstream:
        assert await upstream.index() == [IndexEntry("m", "", "UNKNOWN")]
    assert paths == [b"/v2/repository/index", b"/v2/models"]


async def test_an_index_that_is_too_long_is_nobodys_failure():
    """Who sends requests by it has to know that it says nothing, and not what it said before."""
    async with foreign_http(http(200, b"[]" + b" " * MAX_BYTES)) as upstream:
        error = await fails(upstream.index())

    assert flags(error) == (Fault.UNSUPPORTED, False, False)


async def test_server_without_any_list():
    """It says so, and no more."""
    async with foreign_http(http(404, b"{}")) as upstream:
        assert (await fails(upstream.index())).fault is Fault.NOT_FOUND


async def test_questions_have_a_time_of_their_own():
    """Nobody waits for ever for what a model is like."""
    settings = HttpUpstreamSettings(metadata_timeout_s=0.05)
    async with foreign_http(None, settings=settings) as upstream:
        error = await fails(upstream.describe("m", ""))
        ready = await upstream.is_ready("m", "")

    assert flags(error) == (Fault.UNAVAILABLE, True, True)
    assert not ready


@pytest.mark.parametrize(("status", "ready"), [(200, True), (400, False), (503, False)])
async def test_readiness(status, ready):
    """Triton says 400 for a model that is not ready, others 503."""
    async with foreign_http(http(status)) as upstream:
        assert await upstream.is_ready("m", "") is ready


async def test_readiness_of_an_unknown_model():
    """An unknown model is an error; a server that cannot be asked is just not ready."""
    async with foreign_http(http(404, b'{"error":"unknown model"}')) as upstream:
        error = await fails(upstream.is_ready("m", ""))
    async with http_upstream(free_port()) as nobody:
        assert not await nobody.is_ready("m", "")

    assert (error.fault, error.message) == (Fault.NOT_FOUND, "unknown model")
