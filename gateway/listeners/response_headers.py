"""The response headers of HTTP that are trailers in gRPC."""

from __future__ import annotations

from gateway.core.request import CacheStatus, Provenance
from gateway.http.exchange import Pair
from gateway.wire import headers


def provenance_headers(provenance: Provenance) -> list[Pair]:
    """Render where an answer came from."""
    pairs = [
        (headers.PROVENANCE.encode(), safe(headers.provenance_value(provenance))),
        (headers.CERTIFIED.encode(), b"true" if provenance.certified else b"false"),
    ]
    if provenance.digest:
        pairs.append((headers.DIGEST.encode(), safe(provenance.digest)))
    return pairs


def cache_headers(status: CacheStatus) -> tuple[Pair, ...]:
    """Render what the cache did: ``hit;level=l1``, and the age of what it held (RFC 9111, 5.1)."""
    level = f";level={status.level}" if status.level else ""
    done = (headers.CACHE.encode(), safe(f"{status.outcome}{level}"))
    return (done,) if status.age_s is None else (done, (headers.AGE.encode(), b"%d" % status.age_s))


def safe(value: str) -> bytes:
    """Leave out what could end a header early."""
    return "".join(char for char in value if char.isascii() and char.isprintable()).encode("ascii")
