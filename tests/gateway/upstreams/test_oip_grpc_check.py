"""Whether a gRPC server is ready, asked with what every call carries."""

from __future__ import annotations

from routing.endpoint import Credential
from tests.fakes.http2_peer import http2_peer
from tests.fakes.service import request
from tests.fakes.tls import KeptLoad, upstream_of
from tests.fakes.upstreams import fails


async def test_calls_carry_what_the_policy_says(tmp_path):
    """Authority, prefix, headers and the credential, which a server's message does not give away."""
    token = tmp_path / "token"
    token.write_text("t0ken-one\n")
    calls = []

    def play(call) -> None:
        calls.append(call.headers)
        message = b"no such token: t0ken-one"
        call.answer(
            b"",
            (b"grpc-status", b"14"),
            (b"grpc-message", message),
            (b"retry-after", b"3"),
            (b"endpoint-load-metrics", b"TEXT cpu_utilization=0.9"),
        )

    kept = KeptLoad()
    fields = {
        "host": "iris.example:80",
        "path_prefix": "/serving",
        "headers": {"x-group": "a"},
        "credential": Credential(file=str(token), header="X-Api-Key", scheme=""),
    }
    async with (
        http2_peer(play) as peer,
        upstream_of("grpc", peer.port, on_load=kept, **fields) as upstream,
    ):
        error = await fails(upstream(request(headers=(("x-api-key", "client"),))))
        verdict = await upstream.check()
        token.write_text("t0ken-two")
        await upstream.refresh()
        await fails(upstream(request()))

    first, check, last = calls
    assert first[b":path"] == b"/serving/inference.GRPCInferenceService/ModelInfer"
    assert check[b":path"] == b"/serving/grpc.health.v1.Health/Check"
    for call, value in ((first, b"t0ken-one"), (check, b"t0ken-one"), (last, b"t0ken-two")):
        assert (call[b":authority"], call[b"x-group"], call[b"x-api-key"]) == (
            b"iris.example:80",
            b"a",
            value,
        )
        assert call[b"endpoint-load-metrics-format"] == b"text"
    assert "t0ken" not in f"{error!r} {error.why} {verdict}"
    assert [report.cpu for report in kept.reports] == [0.9, 0.9]
    assert kept.refusals == [3.0, 3.0]
