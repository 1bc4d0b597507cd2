"""Settings of the upstreams."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.wire.oip.json_nan import JsonNan
from gateway.wire.travelling import problem_of

Seconds = Annotated[float, Meta(gt=0, le=3600)]


Bytes = Annotated[int, Meta(ge=1024, le=1 << 31)]
Window = Annotated[int, Meta(ge=65535, le=(1 << 31) - 1)]


class ConnectSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an endpoint is connected to, over either wire."""

    resolve_timeout_s: Seconds = 2.0
    """Seconds for looking up the endpoint's name, 2 by default."""

    dns_refresh_rate_s: Seconds = 5.0
    """Seconds after which the name is looked up again, 5 by default (Envoy), and at once after a failure to
    connect. Connections to addresses that it has no longer take no new requests."""

    connect_timeout_s: Seconds = 2.0
    """Seconds for TCP and TLS, 2 by default: SYN is repeated once, after one second."""

    backoff_initial_s: Seconds = 0.1
    """Seconds that pass at most after the first failure to connect, 0.1 by default. Each further one
    doubles them; the wait is drawn anew between 0 and that. Calls meanwhile fail at once."""

    backoff_max_s: Seconds = 2.0
    """Seconds that pass at most between attempts to connect, 2 by default: so soon is a server found
    that is back."""

    metadata_timeout_s: Seconds = 5.0
    """Seconds for questions about models, 5 by default."""


class HttpUpstreamSettings(ConnectSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an endpoint is spoken to over HTTP."""

    connections: Annotated[int, Meta(ge=0, le=65535)] = 1024
    """Connections to one endpoint at most, 1024 by default; 0 for no limit. Bulkhead is the limit to set:
    where this one is smaller, requests wait here unseen."""

    keepalive_s: Seconds = 30.0
    """Seconds that an idle connection is kept, 30 by default: less than the 75 of the other side, so that
    no request is sent into a connection that is being closed."""

    json_nan: JsonNan = "refuse"
    """What becomes of NaN and infinity for an endpoint that takes JSON only. ``refuse``, the default: 400
    from here, as most such servers (MLServer) would fail; ``literal``: sent as Triton writes them. Answers
    are read with them in any case."""

    max_head_bytes: Bytes = 64 << 10
    """Bytes of an answer's status line and headers, 64 KiB by default; more is a failure of the server."""


class Http2Settings(ConnectSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an endpoint is spoken to over HTTP/2, whatever it carries."""

    connections: Annotated[int, Meta(ge=1, le=1024)] = 8
    """Connections to one endpoint at most, 8 by default. One carries all calls until its streams are
    taken; then another is opened. Bulkhead is the limit to set: beyond this one calls wait unseen."""

    streams_per_connection: Annotated[int, Meta(ge=1, le=65535)] = 1000
    """Calls at once on one connection at most, 1000 by default; fewer where the other side allows fewer."""

    idle_s: Seconds = 60.0
    """Seconds that a connection without calls is kept, 60 by default: less than the 75 of the other side."""

    keepalive_s: Seconds = 10.0
    """Seconds without a byte from the other side after which it is pinged, 10 by default. Only while calls
    run, and twice in one silence at most: servers with gRPC's defaults take more than that for an attack."""

    keepalive_timeout_s: Seconds = 5.0
    """Seconds from a ping to any byte, 5 by default; then the connection is given up."""

    stream_window_bytes: Window = 1 << 20
    """Bytes of one answer that the other side may send ahead, 1 MiB by default."""

    connection_window_bytes: Window = 1 << 24
    """Bytes of all answers on one connection that it may send ahead, 16 MiB by default."""

    max_head_bytes: Bytes = 64 << 10
    """Bytes of an answer's headers, and of its trailers, 64 KiB by default; more ends the connection."""


class H2UpstreamSettings(Http2Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an endpoint is spoken to over HTTP/2 without gRPC."""

    json_nan: JsonNan = "refuse"
    """As ``http.json_nan``: what becomes of NaN and infinity for an endpoint that takes JSON only."""


class GrpcUpstreamSettings(Http2Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an endpoint is spoken to over gRPC."""

    max_request_bytes: Bytes = 1 << 28
    """Bytes of one request, 256 MiB by default; JSON grows when it becomes a tensor, so this is more than
    a listener takes. A larger one is refused as too large and not sent."""


class UpstreamSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How endpoints are spoken to, by wire."""

    http: HttpUpstreamSettings = HttpUpstreamSettings()
    """Of endpoints whose protocol is http."""

    grpc: GrpcUpstreamSettings = GrpcUpstreamSettings()
    """Of endpoints whose protocol is grpc."""

    h2: H2UpstreamSettings = H2UpstreamSettings()
    """Of endpoints whose protocol is h2: the REST protocol over HTTP/2."""

    forward_headers: tuple[str, ...] = ()
    """Headers of the client's that endpoints get as they come, none by default: names in full, and beginnings
    that end in ``*``, such as ``x-my-*`` (Triton: header_forward_pattern). Their values are part of the
    cache's key, so one that is new with every request leaves nothing to be found there. ``authorization`` and
    ``cookie`` only when named in full; what concerns connections, bodies and gateways never. At most 32 lines
    and 8 KiB of a request; more is 400."""

    def __post_init__(self) -> None:
        """Refuse what no header can be named by, and headers that never go on.

        Raises:
            ValueError: names the pattern.
        """
        for pattern in self.forward_headers:
            if problem := problem_of(pattern):
                raise ValueError(problem)
