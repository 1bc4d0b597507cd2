"""The request headers of the Open Inference Protocol, over HTTP and over gRPC."""

from __future__ import annotations

from typing import Final

from gateway.listeners.request_headers import RequestHeaderReader, RequestHeaders
from gateway.wire import headers
from gateway.wire.trust import Trust

_NAMES: Final = (headers.INFERENCE_HEADER_LENGTH, headers.TRITON_GRPC_ERROR)
_GRPC_NAMES: Final = ("grpc-timeout", "grpc-encoding", "grpc-accept-encoding")


class OipRequestHeaders(RequestHeaders, frozen=True):
    """Those of every family, and the protocol's own. Requests that are no gRPC calls have none of gRPC's."""

    header_length: str | None
    triton_grpc_error: str | None
    grpc_timeout: str | None = None
    grpc_encoding: str | None = None
    grpc_accept_encoding: str | None = None


OipHeaderReader = RequestHeaderReader[OipRequestHeaders]


def header_reader(trust: Trust, *, is_grpc: bool) -> OipHeaderReader:
    """Return what reads the heads of calls (``is_grpc``), or of plain HTTP requests."""
    return RequestHeaderReader(trust, OipRequestHeaders, (*_NAMES, *_GRPC_NAMES) if is_grpc else _NAMES)
