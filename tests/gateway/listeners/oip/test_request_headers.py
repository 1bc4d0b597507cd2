"""The protocol's own request headers."""

from __future__ import annotations

from gateway.http.exchange import Head
from gateway.listeners.oip.request_headers import OipRequestHeaders, header_reader
from gateway.listeners.refusals import RefusalCounter
from tests.fakes.data_plane import EchoService, fake_data_plane

OWN = (
    ("inference-header-content-length", "12"),
    ("triton_grpc_error", "true"),
    ("grpc-timeout", "1S"),
    ("grpc-encoding", "gzip"),
    ("grpc-accept-encoding", "identity"),
)


def read(*, is_grpc: bool) -> OipRequestHeaders:
    data_plane = fake_data_plane(EchoService())
    reader = header_reader(data_plane, RefusalCounter(data_plane.telemetry, "http"), is_grpc=is_grpc)
    return reader.read(Head("POST", "/", (*OWN, ("grpc-accept-encoding", "gzip"))))


def test_headers_of_a_call():
    """All of them have a place; of a list that comes in two lines the first counts."""
    headers = read(is_grpc=True)

    assert (headers.header_length, headers.triton_grpc_error) == ("12", "true")
    assert headers.grpc_timeout == "1S"
    assert (headers.grpc_encoding, headers.grpc_accept_encoding) == ("gzip", "identity")


def test_headers_of_grpc_mean_nothing_in_other_requests():
    """A plain HTTP request may name them; they are passed over."""
    headers = read(is_grpc=False)

    assert (headers.header_length, headers.triton_grpc_error) == ("12", "true")
    assert (headers.grpc_timeout, headers.grpc_encoding, headers.grpc_accept_encoding) == (None, None, None)
