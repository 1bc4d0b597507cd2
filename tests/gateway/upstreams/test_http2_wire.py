"""HTTP/2 under an upstream: the REST protocol over few connections, and how calls end without an answer."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault
from gateway.upstreams.oip_http import HttpUpstream
from gateway.upstreams.settings import H2UpstreamSettings
from routing.endpoint import Credential, EndpointTls
from tests.fakes.certificates import Authority
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.http2_peer import http2_peer
from tests.fakes.listener import listener_of
from tests.fakes.nginx import nginx_before
from tests.fakes.service import request
from tests.fakes.tls import KeptLoad, upstream_of
from tests.fakes.upstreams import fails, flags

ANSWER = b'{"model_name":"m","outputs":[{"name":"y","datatype":"INT8","shape":[2],"data":[1,2]}]}'
OK = [(b":status", b"200")]


def answering(*answers, calls=None):
    """A peer that answers calls in turn: with headers and a body, or a reset by its code."""
    left = [*answers]

    def play(call) -> None:
        if calls is not None:
            calls.append(call)
        answer = left.pop(0)
        http2 = call.connection.http2
        if isinstance(answer, int):
            call.reset(answer)
            return
        head, body = answer
        http2.send_response(call.stream, head)
        http2.send_data(call.stream, body, end_stream=True)
        call.connection.flush()

    return play


async def test_many_requests_share_a_connection():
    """And everything that the protocol asks of the endpoint goes over it."""
    listener = listener_of(fake_data_plane(EchoService()))
    await listener.start("127.0.0.1", 0)
    async with upstream_of("h2", listener.port) as upstream:
        answers = await asyncio.gather(*(upstream(request()) for _ in range(20)))
        assert {answer.model for answer in answers} == {"digits"}
        assert (await upstream.describe("digits", "")).name == "digits"
        assert await upstream.is_ready("digits", "")
        assert await upstream.index() is not None
        assert (await upstream.check()).why is None
        await upstream.refresh()
        upstream.renew()
        assert (await upstream(request())).model == "digits"
        assert "0 running" in repr(upstream)
    await listener.aclose()


async def test_each_request_carries_what_the_policy_says(tmp_path):
    """Its own pseudo-headers, the policy's headers, the credential, and none of a client's in their place."""
    calls = []
    token = tmp_path / "token"
    token.write_text("t0ken-one")
    kept = KeptLoad()
    fields = {
        "host": "iris.example",
        "path_prefix": "/serving",
        "headers": {"X-Group": "a"},
        "credential": Credential(file=str(token)),
    }
    load = (b"endpoint-load-metrics", b"TEXT cpu_utilization=0.5")
    answers = answering(
        ([*OK, load], ANSWER), ([(b":status", b"429"), (b"retry-after", b"2")], b"{}"), calls=calls
    )
    async with http2_peer(answers) as peer, upstream_of("h2", peer.port, on_load=kept, **fields) as upstream:
        await upstream(request(headers=(("authorization", "Bearer client"),)))
        token.write_text("t0ken-two")
        await upstream.refresh()
        error = await fails(upstream(request()))

    assert calls[0].headers[b":path"] == b"/serving/v2/models/digits/infer"
    assert calls[0].headers[b":authority"] == b"iris.example"
    assert calls[0].headers[b":scheme"] == b"http"
    assert calls[0].headers[b"x-group"] == b"a"
    assert int(calls[0].headers[b"content-length"]) == len(calls[0].body)
    assert [call.headers[b"authorization"] for call in calls] == [b"Bearer t0ken-one", b"Bearer t0ken-two"]
    assert [report.cpu for report in kept.reports] == [0.5]
    assert kept.refusals == [2.0]
    assert flags(error) == (Fault.OVERLOADED, True, False)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (0x1, (Fault.UNAVAILABLE, True, True)),
        (0x2, (Fault.UNAVAILABLE, True, True)),
        (0x8, (Fault.UNAVAILABLE, False, False)),
        (([(b":status", b"503")], b"{}"), (Fault.UNAVAILABLE, True, True)),
        (([(b":status", b"400")], b'{"error":"no"}'), (Fault.INVALID, False, False)),
        (([*OK, (b"content-encoding", b"gzip")], b"x"), (Fault.UNAVAILABLE, True, True)),
        ((OK, b"x" * 2000), (Fault.TOO_LARGE, False, False)),
        ((OK, b"no json"), (Fault.UNAVAILABLE, True, True)),
    ],
)
async def test_ends_without_an_answer_keep_their_meaning(ends, expected):
    """As over HTTP/1.1: who is to blame, and whether another attempt may help."""
    async with http2_peer(answering(ends)) as peer:
        upstream = HttpUpstream(
            "far",
            f"http://127.0.0.1:{peer.port}",
            LoopClock(),
            settings=H2UpstreamSettings(),
            max_body_bytes=1000,
        )
        error = await fails(upstream(request()))
        await upstream.aclose()

    assert flags(error) == expected


async def test_a_stream_that_is_refused_is_sent_once_more():
    """The peer has done nothing about it; twice in a row another endpoint may answer, and it is no evidence."""
    async with (
        http2_peer(answering(0x7, (OK, ANSWER), 0x7, 0x7)) as peer,
        upstream_of("h2", peer.port) as upstream,
    ):
        assert (await upstream(request())).model == "m"
        assert flags(await fails(upstream(request()))) == (Fault.UNAVAILABLE, True, False)


async def test_cancelling_a_call_resets_its_stream():
    """And no other."""
    async with http2_peer(lambda _call: None) as peer, upstream_of("h2", peer.port) as upstream:
        call = asyncio.create_task(upstream(request()))
        while not (peer.connections and peer.connections[0].calls):
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        while not peer.connections[0].resets:
            await asyncio.sleep(0.01)
        assert peer.connections[0].resets[0][1] == 8


@pytest.mark.parametrize("protocol", ["http", "h2", "grpc"])
async def test_an_ingress_that_ends_tls(tmp_path, protocol):
    """With a path before its own, over each wire; without the certificate that it wants, the error says so."""
    ca = Authority(tmp_path)
    server, ours, foreign = (
        ca.issue("localhost"),
        ca.issue("edge"),
        Authority(tmp_path, "foreign").issue("edge"),
    )
    listener = listener_of(fake_data_plane(EchoService()))
    await listener.start("127.0.0.1", 0)
    async with nginx_before(listener.port, tmp_path, server, ca.root) as port:
        shown = EndpointTls(ca=str(ca.root), certificate=str(ours.certificate), key=str(ours.key))
        prefix = "" if protocol == "grpc" else "/serving"
        async with upstream_of(protocol, port, shown, path_prefix=prefix) as upstream:
            assert (await upstream(request())).model == "digits"
        async with upstream_of(protocol, port, EndpointTls(ca=str(ca.root))) as upstream:
            absent, checked = await fails(upstream(request())), await upstream.check()
        other = EndpointTls(ca=str(ca.root), certificate=str(foreign.certificate), key=str(foreign.key))
        async with upstream_of(protocol, port, other) as upstream:
            refused = await fails(upstream(request()))
        async with upstream_of(protocol, port) as upstream:
            clear = await fails(upstream(request()))
    await listener.aclose()

    assert "wants a certificate of this gateway" in absent.message
    assert "does not accept the certificate" in refused.message
    assert checked.why == absent.why
    for error in (absent, refused):
        assert error.fault is not Fault.INVALID
        assert error.counts
    assert clear.counts
    assert protocol != "http" or "in TLS" in clear.message
