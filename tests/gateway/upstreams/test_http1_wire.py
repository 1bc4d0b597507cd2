"""HTTP/1.1 under an upstream: what each request carries."""

from __future__ import annotations

import asyncio

from routing.endpoint import Credential
from tests.fakes.service import request
from tests.fakes.tls import KeptLoad, upstream_of
from tests.fakes.upstreams import fails, http, read_request, scripted_peer

ANSWER = b'{"model_name":"m","outputs":[{"name":"y","datatype":"INT8","shape":[2],"data":[1,2]}]}'


async def test_each_request_carries_what_the_policy_says(tmp_path):
    """Host, prefix, headers and the credential, also the health checks; a client's own header gives way."""
    heads: list[bytes] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(http(200, ANSWER))

    token = tmp_path / "token"
    token.write_text("t0ken-one\n")
    fields = {
        "host": "iris.example",
        "path_prefix": "/serving/iris",
        "headers": {"X-Group": "a"},
        "credential": Credential(file=str(token)),
    }
    async with scripted_peer(play) as peer, upstream_of("http", peer.port, **fields) as upstream:
        await upstream(request(headers=(("authorization", "Bearer client"), ("x-kept", "1"))))
        await upstream.check()
        token.write_text("t0ken-two\n")
        await upstream.refresh()
        await upstream(request())
        assert "t0ken" not in repr(upstream)

    first, check, last = heads
    assert first.startswith(b"POST /serving/iris/v2/models/digits/infer HTTP/1.1\r\nHost: iris.example\r\n")
    assert check.startswith(b"GET /serving/iris/v2/health/ready HTTP/1.1\r\nHost: iris.example\r\n")
    for head, value in ((first, b"t0ken-one"), (check, b"t0ken-one"), (last, b"t0ken-two")):
        assert head.count(b"authorization: Bearer ") == head.count(b"authorization: Bearer " + value) == 1
        assert b"\r\nx-group: a\r\n" in head
        assert b"endpoint-load-metrics-format" not in head
    assert b"\r\nx-kept: 1\r\n" in first


async def test_the_credential_is_in_no_error(tmp_path, caplog):
    """Though the endpoint quotes it: neither for clients, nor for operators."""
    caplog.set_level(0)
    for status in (400, 401, 500, 503):

        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status=status) -> None:
            await read_request(reader)
            writer.write(http(status, b'{"error":"unknown token t0ken-one, try again"}'))

        token = tmp_path / "token"
        token.write_text("t0ken-one")
        credential = Credential(file=str(token))
        async with (
            scripted_peer(play) as peer,
            upstream_of("http", peer.port, credential=credential) as upstream,
        ):
            error = await fails(upstream(request()))
            verdict = await upstream.check()
        assert "t0ken" not in f"{error!r} {error.why} {verdict}"
    assert "t0ken" not in caplog.text


async def test_load_and_refusals_are_handed_on():
    """It is asked for, and read from answers of either kind."""
    answers = [
        http(200, ANSWER, "endpoint-load-metrics: TEXT application_utilization=0.5"),
        http(503, b"{}", "retry-after: 9", "Endpoint-Load-Metrics: TEXT application_utilization=1"),
        http(429, b"{}"),
        http(500, b"{}"),
    ]
    heads: list[bytes] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(answers.pop(0))

    kept = KeptLoad()
    async with scripted_peer(play) as peer, upstream_of("http", peer.port, on_load=kept) as upstream:
        await upstream(request())
        for _ in range(3):
            await fails(upstream(request()))

    assert [report.application for report in kept.reports] == [0.5, 1.0]
    assert kept.refusals == [9.0, None]
    assert b"\r\nendpoint-load-metrics-format: text\r\n" in heads[0]


async def test_a_server_that_ends_each_connection_at_once_is_not_tried_for_ever():
    """With TLS 1.3 a server that wants a certificate takes the connection first."""

    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with scripted_peer(play) as peer, upstream_of("http", peer.port) as upstream:
        async with asyncio.timeout(20):
            error = await fails(upstream(request()))
        assert error.counts
        assert peer.connections <= 2
