"""What travels beside the tensors on either wire: headers of HTTP, metadata of gRPC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.features import LACKS
from gateway.core.request import ANONYMOUS, CENTRAL, Provenance, Request
from gateway.upstreams.failures import LENIENCY_S
from gateway.wire import headers
from gateway.wire.trace_context import fit
from gateway.wire.trust import regions_value

_MAX_VALUE_CHARS: Final = 128
_MAX_DIGITS: Final = 6


def request_headers(request: Request) -> dict[str, str]:
    """Return what the next gateway must know of the request: who sent it, where it may go, its trace and id.

    Headers of the client's own (``Request.headers``) are not among them: of those there may be several lines.

    Raises:
        GatewayError: INVALID when a value cannot stand in a header.
    """
    caller = request.caller
    found = {headers.HOPS: str(request.hops + 1), **dict(fit(request.trace))}
    if caller.tenant != ANONYMOUS:
        found[headers.TENANT] = caller.tenant
    # Also when the address is not known: else the next gateway would take this one for the client.
    found[headers.FORWARDED_FOR] = caller.address or headers.UNKNOWN_ADDRESS
    if request.regions is not None:
        found[headers.REGIONS] = regions_value(request.regions)
    for name, value in found.items():
        if not (value.isascii() and value.isprintable()):
            raise GatewayError(Fault.INVALID, f"{name} must be printable ASCII")
    return found


def timeout_s(request: Request, clock: Clock) -> float:
    """Return the seconds that the other side gets: ``LENIENCY_S`` more than are left; infinite: no deadline.

    Raises:
        GatewayError: DEADLINE when nothing is left.
    """
    if request.deadline == math.inf:
        return math.inf
    left_s = request.deadline - clock.now()
    if left_s <= 0:
        raise GatewayError(Fault.DEADLINE, "the deadline passed before the request could be sent")
    return left_s + LENIENCY_S


def retry_after_s(response_headers: Mapping[str, str]) -> float | None:
    """Read Retry-After in seconds; its other form, a date, would need the other side's clock."""
    value = response_headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS else None


def provenance_of(response_headers: Mapping[str, str], region: str) -> Provenance:
    """Return where an answer came from; where it does not say so, from the central tier in ``region``."""
    found = headers.parse_provenance(
        response_headers.get(headers.PROVENANCE, ""),
        response_headers.get(headers.CERTIFIED, ""),
        printable(response_headers.get(headers.DIGEST, ""), _MAX_VALUE_CHARS),
        printable(response_headers.get(headers.SERVED_BY, region), _MAX_VALUE_CHARS),
    )
    if found is None:
        return Provenance(CENTRAL, region=region)
    features = response_headers.get(headers.FEATURES, "")
    return replace(found, features=features) if features in LACKS else found
