"""Header names that Edgeway reads and writes, the same for HTTP headers and gRPC metadata."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from gateway.core.cache_levels import LEVEL_NAMES
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance

SERVED_BY: Final = "x-edgeway-served-by"
PROVENANCE: Final = "x-edgeway-provenance"
CERTIFIED: Final = "x-edgeway-certified"
GENERATION: Final = "x-edgeway-policy-generation"
DIGEST: Final = "x-edgeway-model-digest"
TENANT: Final = "x-edgeway-tenant"
HOPS: Final = "x-edgeway-hops"
REGIONS: Final = "x-edgeway-regions"
FORWARDED_FOR: Final = "x-forwarded-for"
UNKNOWN_ADDRESS: Final = "unknown"  # as in RFC 7239
AUTHORIZATION: Final = "authorization"
TIMEOUT_MS: Final = "x-request-timeout-ms"
TRITON_GRPC_ERROR: Final = "triton_grpc_error"
LOAD: Final = "endpoint-load-metrics"
LOAD_FORMAT: Final = "endpoint-load-metrics-format"
CACHE_CONTROL: Final = "cache-control"
AGE: Final = "age"
CACHE: Final = "x-edgeway-cache"
INFERENCE_HEADER_LENGTH: Final = "inference-header-content-length"

_OF_PAGES: Final = frozenset({"origin", "referer"})
_SITE: Final = "sec-fetch-site"
_OWN_SITE: Final = frozenset({"none", "same-origin"})
MAX_TIMEOUT_S: Final = 24 * 3600.0


def is_of_web_page(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether a browser sends the request with these headers for a web page.

    No other client sends these headers, and no page can keep a browser from sending them with a request that
    changes something.
    """
    return any(
        name.lower() in _OF_PAGES or (name.lower() == _SITE and value not in _OWN_SITE)
        for name, value in pairs
    )


def provenance_value(provenance: Provenance) -> str:
    """Render where an answer came from as a structured field (RFC 9651): ``cache;level=l1;origin=edge``."""
    if not provenance.level:
        return provenance.origin
    stale = ";stale" if provenance.stale else ""
    return f"cache;level={provenance.level};origin={provenance.origin}{stale}"


def parse_provenance(value: str, certified: str, digest: str, region: str) -> Provenance | None:
    """Read another gateway's headers back; None when they are not Edgeway's."""
    source, *rest = value.split(";")
    fields = dict(part.partition("=")[::2] for part in rest)
    origin = fields.get("origin", source)
    if origin not in {"edge", "central"}:
        return None
    return Provenance(
        origin=origin,
        certified=certified == "true",
        level=_level(source, fields.get("level", "")),
        stale="stale" in fields,
        region=region,
        digest=digest,
    )


def _level(source: str, named: str) -> str:
    # It becomes a label: a level that nobody has heard of is some cache.
    return "" if source != "cache" else named if named in LEVEL_NAMES else LEVEL_NAMES[-1]


def parse_timeout_ms(value: str) -> float:
    """Return seconds for a millisecond header.

    Raises:
        GatewayError: INVALID unless it is a positive decimal number.
    """
    try:
        # float alone would take 1_000 and the digits of other scripts.
        seconds = float(value) / 1000 if value.isascii() and "_" not in value else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise GatewayError(Fault.INVALID, f"{TIMEOUT_MS} must be a positive number of milliseconds")
    return min(seconds, MAX_TIMEOUT_S)
