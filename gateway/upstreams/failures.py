"""What an endpoint's failures are called, and what they mean, whichever wire they came over."""

from __future__ import annotations

import logging
from typing import Final

from gateway.core.errors import Fault, GatewayError

LENIENCY_S: Final = 0.05
"""The other side is given this much more time than the request has. The layer here that set the deadline
knows whose it was, and what its passing means; the other side's would fire in the same moment and know
nothing."""

_WORDS: Final = {
    Fault.UNAVAILABLE: "is unavailable",
    Fault.DEADLINE: "did not answer in time",
    Fault.OVERLOADED: "is overloaded",
    Fault.INTERNAL: "failed",
}
"""Faults of the other side. Its own words for them may name addresses, so the client does not get them."""

_RETRYABLE: Final = frozenset({Fault.UNAVAILABLE, Fault.DEADLINE, Fault.OVERLOADED})
_COUNTS: Final = frozenset({Fault.UNAVAILABLE, Fault.DEADLINE, Fault.INTERNAL})
"""Not OVERLOADED: a server that sheds load works. A breaker that opened would send all of it elsewhere."""


_NOT_LET_IN: Final = frozenset({Fault.UNAUTHENTICATED, Fault.FORBIDDEN})

_log = logging.getLogger("edgeway.upstreams")


class Failures:
    """Names the failures of one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._has_told = False

    def __repr__(self) -> str:
        return f"<Failures of {self._endpoint}>"

    def of(self, fault: Fault, said: str = "", *, retry_after_s: float | None = None) -> GatewayError:
        """Return the error for ``fault``; ``said`` is passed on where it is about the client's request."""
        if fault in _NOT_LET_IN:
            # Who the caller is was checked here: that the other side thinks otherwise is between the two of
            # us, and another endpoint, the edge model or a stale answer may still serve.
            self._tell_once(said)
            return GatewayError(
                Fault.UNAVAILABLE, f"endpoint '{self._endpoint}' does not let this gateway in", retryable=True
            )
        if fault in _WORDS:
            return GatewayError(
                fault,
                f"endpoint '{self._endpoint}' {_WORDS[fault]}",
                retryable=fault in _RETRYABLE,
                counts=fault in _COUNTS,
                retry_after_s=retry_after_s,
            )
        return GatewayError(fault, said or f"endpoint '{self._endpoint}' refused the request")

    def _tell_once(self, said: str) -> None:
        if not self._has_told:
            self._has_told = True
            _log.error("endpoint %s does not let this gateway in: %s", self._endpoint, said)

    def closed(self) -> GatewayError:
        """Return the error of a call that our own closing ended: another endpoint may answer."""
        return GatewayError(
            Fault.UNAVAILABLE, f"endpoint '{self._endpoint}' {_WORDS[Fault.UNAVAILABLE]}", retryable=True
        )

    def late(self) -> GatewayError:
        """Return the error of a call that ended with its request's own time: nobody is to blame."""
        return GatewayError(Fault.DEADLINE, f"endpoint '{self._endpoint}' {_WORDS[Fault.DEADLINE]}")

    def broken(self) -> GatewayError:
        """Return the error of an answer that breaks the protocol."""
        return GatewayError(
            Fault.UNAVAILABLE,
            f"endpoint '{self._endpoint}' sent an answer that is not as the protocol has it",
            retryable=True,
            counts=True,
        )
