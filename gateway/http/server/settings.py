"""Limits of the connections, with Envoy's names and defaults where Envoy has them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Bytes = Annotated[int, Meta(ge=1 << 10, le=1 << 40)]


class TransportSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a peer may take, and for how long."""

    max_request_headers_kb: Annotated[int, Meta(ge=1, le=8192)] = 60
    """KiB of one request's line and headers, 60 by default (Envoy); more is 431."""

    max_headers_count: Count = 100
    """Headers of one request, 100 by default (Envoy); more is 431."""

    request_headers_timeout_s: Seconds = 10.0
    """Seconds from the first byte of a request to the end of its headers, 10 by default; then 408. A new
    connection has as long to send its first byte.
    Over HTTP/2, where heads come beside open streams, a peer that sends no whole frame for as long is pinged;
    without an answer in the same time its connection ends."""

    idle_timeout_s: Seconds = 75.0
    """Seconds that a connection may wait for its next request, 75 by default (nginx)."""

    body_timeout_s: Seconds = 10.0
    """Seconds in each of which a body must come by as much as ``min_body_bytes_per_s`` comes to, or to its
    end, 10 by default; else 408. What came before is no credit: a body that stands still ends after so
    long."""

    request_timeout_s: Seconds = 120.0
    """Seconds from the head of a request to the end of its body, 120 by default (Envoy's request_timeout,
    which it leaves off); then 408, however fast it comes. Of a stream each message has as long."""

    stream_idle_timeout_s: Seconds = 300.0
    """Seconds for which neither side may send anything in an HTTP/2 stream, 300 by default (Envoy); then it
    ends, with 408 or gRPC's status for that. Of a streamed request over HTTP/1.1 likewise; then its
    connection ends."""

    min_body_bytes_per_s: Annotated[int, Meta(ge=1, le=1 << 30)] = 16 << 10
    """Bytes of a body per second at least, 16 KiB by default; of a request's as of answers that wait."""

    write_timeout_s: Seconds = 30.0
    """Seconds in which a peer must take of the answers that wait for it as much as ``min_body_bytes_per_s``
    comes to, or all, 30 by default; else the connection ends, or the stream, when only its window is slow."""

    lingering_s: Seconds = 2.0
    """Seconds that the rest of a refused body is read and dropped, so that the client gets to read why."""

    max_connections: Count = 10_000
    """Connections in all, 10,000 by default; one more is closed at once."""

    max_connections_per_address: Count = 1_000
    """Connections of one address, 1,000 by default: proxies and NATs stand for many clients.
    Those before their handshake count; behind a PROXY header it is the address in that header. IPv6 addresses
    of one /64 are one. Addresses of ``trusted_gateways`` have no such limit."""

    max_buffered_mib: Annotated[int, Meta(ge=1, le=1 << 20)] = 512
    """MiB that requests may take over all connections, 512 by default; more is 503. Bodies that have come, in
    part or whole, and are not answered yet; heads and streams that are open; answers that are not read. When
    it is full, large bodies that are still on their way are given up for those who have less: 408."""

    max_buffered_percent_per_address: Percent = 25
    """Percent of ``max_buffered_mib`` that one address may have, 25 by default, and never less than one body;
    more is 503. An address that has half of that is read on only as its requests are answered. IPv6 addresses
    of one /64 are one. Addresses of ``trusted_gateways`` may have all of it: of those behind them each tenant
    has its share."""

    max_buffered_percent_per_tenant: Percent = 25
    """Percent of ``max_buffered_mib`` that one tenant may have from all its addresses, 25 by default, and
    never less than one body; more is 503."""

    max_buffered_percent_of_strangers: Percent = 50
    """Percent of ``max_buffered_mib`` that all together may have who are no tenant, 50 by default, and never
    less than one body; more is 503."""

    max_pipelined: Annotated[int, Meta(ge=1, le=1024)] = 16
    """HTTP/1.1 requests that wait behind the one under way, 16 by default; more are not read yet."""

    max_concurrent_streams: Annotated[int, Meta(ge=1, le=100_000)] = 100
    """HTTP/2 streams of one connection at once, 100 by default (Envoy)."""

    initial_stream_window_kib: Annotated[int, Meta(ge=64, le=1 << 20)] = 1024
    """KiB of one HTTP/2 body that may come ahead, 1 MiB by default."""

    initial_connection_window_kib: Annotated[int, Meta(ge=64, le=1 << 20)] = 4096
    """KiB of all bodies of one HTTP/2 connection that may come ahead, 4 MiB by default."""

    max_resets_per_s: Count = 100
    """HTTP/2 streams that a peer may reset per second, 100 by default; in a burst twice as many."""

    max_continuations: Annotated[int, Meta(ge=0, le=1024)] = 8
    """HTTP/2 CONTINUATION frames of one block of headers, 8 by default."""

    backlog: Annotated[int, Meta(ge=1, le=65_535)] = 1024
    """Connections that may wait to be accepted, 1024 by default."""

    generate_request_id: bool = True
    """Whether a request that comes without ``X-Request-ID`` is given one, true by default (Envoy). Answers
    have it, and what endpoints are sent. One that a client gives is kept, returned and passed on either way,
    if it is at most 128 printable ASCII characters."""
