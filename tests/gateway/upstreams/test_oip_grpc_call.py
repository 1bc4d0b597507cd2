"""A unary gRPC call in HTTP/2: frames, timeouts, statuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.client.evidence import Evidence
from gateway.http.framing.http2_client import Http2Response
from gateway.upstreams.oip_grpc_call import (
    BrokenAnswerError,
    StatusError,
    code_of_reset,
    evidence_of,
    read_answer,
    timeout_value,
)
from tests.fakes.http2_peer import framed


def answer(
    body: bytes = b"", status: int = 200, headers: dict | None = None, **trailers: bytes
) -> Http2Response:
    named = {name.replace("_", "-").encode(): value for name, value in trailers.items()}
    return Http2Response(status, headers or {}, body, named)


@pytest.mark.parametrize(
    ("received", "evidence"),
    [
        (answer(grpc_status=b"0"), Evidence.WORKS),
        (answer(grpc_status=b"14"), Evidence.FAILS),
        (answer(headers={b"grpc-status": b"14"}), Evidence.FAILS),
        (answer(grpc_status=b"8"), Evidence.WORKS),
        (answer(status=502), Evidence.FAILS),
        (answer(status=503), Evidence.FAILS),
        (answer(status=404), Evidence.WORKS),
    ],
)
def test_what_an_answer_shows_about_its_endpoint(received, evidence):
    """UNAVAILABLE, wherever it stands, and what proxies say for it."""
    assert evidence_of(received) is evidence


def test_metadata_is_text():
    """Binary metadata is nobody's here."""
    _, metadata = read_answer(answer(framed(b""), grpc_status=b"0", x_a=b"b", x_bin=b"\0"))

    assert metadata == {"grpc-status": "0", "x-a": "b"}


@pytest.mark.parametrize(
    ("seconds", "value"),
    [
        (0.05, b"50000u"),
        (1e-9, b"1u"),
        (99.9, b"99900000u"),
        (100, b"100000m"),
        (99_999.5, b"99999500m"),
        (1e6, b"1000000S"),
        (1e12, b"99999999S"),
    ],
)
def test_timeouts_have_eight_digits_at_most(seconds, value):
    """Whatever unit they need for it."""
    assert timeout_value(seconds) == value


@given(st.floats(1e-6, 86_400.0))
def test_timeouts_are_never_cut_short(seconds):
    """Rounded up, and by little."""
    value = timeout_value(seconds)
    read = int(value[:-1]) * {b"u": 1e-6, b"m": 1e-3, b"S": 1.0}[value[-1:]]

    assert seconds <= read + 1e-9
    assert read <= seconds + 0.001 + 1e-6
    assert len(value) <= 9


@pytest.mark.parametrize(
    "broken",
    [
        answer(framed(b"abc")),
        answer(b"", grpc_status=b"0"),
        answer(b"\0\0\0\0", grpc_status=b"0"),
        answer(framed(b"abc")[:-1], grpc_status=b"0"),
        answer(framed(b"abc") + b"d", grpc_status=b"0"),
        answer(framed(b"a") + framed(b"b"), grpc_status=b"0"),
        answer(framed(b"abc", 1), grpc_status=b"0"),
    ],
    ids=["no status", "no message", "half a frame", "short", "long", "two", "compressed"],
)
def test_broken_answers(broken):
    """One whole message, not compressed, since nobody asked for that, and a status."""
    with pytest.raises(BrokenAnswerError):
        read_answer(broken)


@pytest.mark.parametrize(
    ("ended", "code", "message"),
    [
        (answer(grpc_status=b"5", grpc_message=b"no%20such %C3%BC%"), 5, "no such ü%"),
        (answer(grpc_status=b"99"), 99, ""),
        (answer(grpc_status=b"-1"), 2, ""),
        (answer(grpc_status=b"100"), 2, ""),
        (answer(grpc_status=b""), 2, ""),
        (answer(headers={b"grpc-status": b"8", b"grpc-message": b"full"}), 8, "full"),
        (answer(status=503), 14, ""),
        (answer(status=404), 12, ""),
        (answer(status=302), 2, ""),
        (answer(status=401, body=b"<html>"), 16, ""),
    ],
)
def test_statuses(ended, code, message):
    """In trailers, in headers where there is nothing else, and in HTTP's words where no gRPC spoke."""
    with pytest.raises(StatusError) as caught:
        read_answer(ended)

    assert (caught.value.code, caught.value.message) == (code, message)


def test_resets_stand_for_statuses():
    """As gRPC's own table has it."""
    assert [code_of_reset(code) for code in (0, 1, 7, 8, 11, 12, 999)] == [13, 13, 14, 1, 8, 7, 13]
