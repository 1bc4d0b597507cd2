"""The request headers of the Open Inference Protocol, over HTTP and over gRPC."""

from __future__ import annotations

from typing import Final

from gateway.listeners.data_plane import DataPlane
from gateway.listeners.refusals import RefusalCounter
from gateway.listeners.request_headers import RequestHeaderReader, RequestHeaders
from gateway.wire import headers

_NAMES: Final = (headers.INFERENCE_HEADER_LENGTH, headers.TRITON_GRPC_ERROR, headers.LOAD_FORMAT)
_GRPC_NAMES: Final = ("grpc-timeout", "grpc-encoding", "grpc-accept-encoding")


class OipRequestHeaders(RequestHeaders, frozen=True):
    """Those of every family, and the protocol's own. Requests that are no gRPC calls have none of gRPC's."""

    header_length: str | None
    triton_grpc_error: str | None
    load_format: str | None = None
    grpc_timeout: str | None = None
    grpc_encoding: str | None = None
    grpc_accept_encoding: str | None = None


OipHeaderReader = RequestHeaderReader[OipRequestHeaders]


def header_reader(data_plane: DataPlane, refusals: RefusalCounter, *, is_grpc: bool) -> OipHeaderReader:
    """Return what reads the heads of calls (``is_grpc``), or of plain HTTP requests."""
    names = (*_NAMES, *_GRPC_NAMES) if is_grpc else _NAMES
    return RequestHeaderReader(data_plane, refusals, OipRequestHeaders, names)
