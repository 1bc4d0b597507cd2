"""The one table from faults to status codes, for both protocols, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.errors import Fault


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP status and the number of a gRPC code."""

    http: int
    grpc: int


STATUSES: Final[dict[Fault, Status]] = {
    Fault.INVALID: Status(400, 3),  # INVALID_ARGUMENT
    Fault.UNAUTHENTICATED: Status(401, 16),  # UNAUTHENTICATED
    Fault.FORBIDDEN: Status(403, 7),  # PERMISSION_DENIED
    Fault.NOT_FOUND: Status(404, 5),  # NOT_FOUND
    Fault.TOO_LARGE: Status(413, 3),  # INVALID_ARGUMENT: RESOURCE_EXHAUSTED would invite a retry
    Fault.CANCELLED: Status(499, 1),  # CANCELLED
    Fault.INTERNAL: Status(500, 13),  # INTERNAL
    Fault.UNSUPPORTED: Status(501, 12),  # UNIMPLEMENTED
    Fault.OVERLOADED: Status(503, 8),  # RESOURCE_EXHAUSTED: clients retry UNAVAILABLE by themselves
    Fault.UNAVAILABLE: Status(503, 14),  # UNAVAILABLE
    Fault.DEADLINE: Status(504, 4),  # DEADLINE_EXCEEDED
    Fault.NOT_CACHED: Status(504, 9),  # FAILED_PRECONDITION; 504 as RFC 9111 (5.2.1.7) has it
}

_FROM_HTTP: Final[dict[int, Fault]] = {
    400: Fault.INVALID,
    401: Fault.UNAUTHENTICATED,
    403: Fault.FORBIDDEN,
    404: Fault.NOT_FOUND,
    408: Fault.DEADLINE,
    413: Fault.TOO_LARGE,
    422: Fault.INVALID,
    429: Fault.OVERLOADED,
    499: Fault.CANCELLED,
    501: Fault.UNSUPPORTED,
    502: Fault.UNAVAILABLE,
    503: Fault.UNAVAILABLE,
    504: Fault.DEADLINE,
}
_FROM_GRPC: Final[dict[int, Fault]] = {
    1: Fault.CANCELLED,
    3: Fault.INVALID,
    4: Fault.DEADLINE,
    5: Fault.NOT_FOUND,
    7: Fault.FORBIDDEN,
    8: Fault.OVERLOADED,
    9: Fault.INVALID,  # FAILED_PRECONDITION
    11: Fault.INVALID,  # OUT_OF_RANGE
    12: Fault.UNSUPPORTED,
    14: Fault.UNAVAILABLE,
    16: Fault.UNAUTHENTICATED,
}


def fault_of_http(status: int) -> Fault:
    """Name the fault behind another server's HTTP status."""
    if status in _FROM_HTTP:
        return _FROM_HTTP[status]
    return Fault.INVALID if 400 <= status < 500 else Fault.INTERNAL


def fault_of_grpc(code: int) -> Fault:
    """Name the fault behind another server's gRPC code."""
    return _FROM_GRPC.get(code, Fault.INTERNAL)
