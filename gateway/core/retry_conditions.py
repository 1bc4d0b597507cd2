"""Which failures of an attempt are worth another one, with the names of Envoy and gRPC.

They are told apart by what a failure is born with: its fault, and whether the endpoint answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from gateway.core.errors import Fault, GatewayError

RetryCondition = Literal[
    "connect_failure",
    "reset",
    "gateway_error",
    "5xx",
    "unavailable",
    "deadline_exceeded",
    "resource_exhausted",
    "internal",
]

RETRY_ON: Final[tuple[RetryCondition, ...]] = ("gateway_error", "resource_exhausted")
"""All that may succeed elsewhere and says nothing against the request itself."""

_UNCONNECTED: Final = frozenset({"refused", "unresolved", "unreachable", "tls", "timeout"})
"""Reasons for which there was no connection; a connection that was there ends for others."""


def retries(error: GatewayError, conditions: Sequence[RetryCondition]) -> bool:
    """Whether ``error`` is to be followed by another attempt.

    What was never sent, or sent to where the model is no more, is always tried elsewhere. What no other
    attempt can change never is: a caller's mistake, time that is over.
    """
    if error.retryable and (error.unsent or error.fault is Fault.NOT_FOUND):
        return True
    return any(_MEETS[condition](error) for condition in conditions)


def _is_gateway_error(error: GatewayError) -> bool:
    return error.retryable and error.fault in {Fault.UNAVAILABLE, Fault.DEADLINE}


def _is_reset(error: GatewayError) -> bool:
    return _is_gateway_error(error) and error.why is not None and not error.why.answered


def _is_connect_failure(error: GatewayError) -> bool:
    if error.fault is not Fault.UNAVAILABLE or not _is_reset(error):
        return False
    return error.why is not None and error.why.reason in _UNCONNECTED


def _is_internal(error: GatewayError) -> bool:
    """Whether the endpoint failed at the request. An answer that we cannot read would be the same again."""
    why = error.why
    return error.fault is Fault.INTERNAL and why is not None and why.answered and why.reason != "protocol"


_MEETS: Final[dict[RetryCondition, Callable[[GatewayError], bool]]] = {
    "connect_failure": _is_connect_failure,
    "reset": _is_reset,
    "gateway_error": _is_gateway_error,
    "5xx": lambda error: _is_gateway_error(error) or _is_internal(error),
    "unavailable": lambda error: error.retryable and error.fault is Fault.UNAVAILABLE,
    "deadline_exceeded": lambda error: error.retryable and error.fault is Fault.DEADLINE,
    "resource_exhausted": lambda error: error.retryable and error.fault is Fault.OVERLOADED,
    "internal": _is_internal,
}
