"""What an endpoint's failures are called, and what they mean, whichever wire they came over."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from gateway.core.errors import Fault, GatewayError, Why, masked
from gateway.core.verdict import Verdict
from gateway.http.client.handshake import TlsFinding, finding_of, tls_error
from gateway.http.client.shortage import lack
from gateway.wire import headers

LENIENCY_S: Final = 0.05
"""Seconds that the other side gets beyond the time that the request has. So the deadline here ends the call
first: the layer that set it knows whose time is up, which an error of the other side would not say."""

_WORDS: Final = {
    Fault.UNAVAILABLE: "is unavailable",
    Fault.DEADLINE: "did not answer in time",
    Fault.OVERLOADED: "is overloaded",
    Fault.INTERNAL: "failed",
}
"""Faults of the other side. Its error messages may name addresses and values, which are masked."""

_RETRYABLE: Final = frozenset({Fault.UNAVAILABLE, Fault.DEADLINE, Fault.OVERLOADED})
_COUNTS: Final = frozenset({Fault.UNAVAILABLE, Fault.DEADLINE, Fault.INTERNAL})
"""Not OVERLOADED: a server that sheds load works. A breaker that opened would send all of it elsewhere."""

HEAD_TOO_LARGE: Final = "header list"
"""In the error message of HTTP/2's parser for headers above its limit."""

OUR_OWN: Final = frozenset({Fault.OVERLOADED, Fault.UNAVAILABLE, Fault.INTERNAL})
"""Faults with which an answer was not read since this process could not: no evidence against who sent it."""

_REASONS: Final[tuple[tuple[type[OSError], str], ...]] = (
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "timeout"),
    (ssl.SSLError, "tls"),
    (socket.gaierror, "unresolved"),
    (ConnectionError, "reset"),
)

_NOT_LET_IN: Final = frozenset({Fault.UNAUTHENTICATED, Fault.FORBIDDEN})

_OF_INPUT: Final = frozenset({"400", "422", "INVALID_ARGUMENT", "OUT_OF_RANGE"})
"""Statuses by which servers say that the inputs themselves cannot be answered."""

_log = logging.getLogger("edgeway.upstreams")


class Failures:
    """Names the failures of one endpoint; ``hidden`` takes what nobody else may read out of its messages."""

    def __init__(self, endpoint: str, hidden: Callable[[str], str] = str) -> None:
        self._endpoint, self._hidden = endpoint, hidden
        self._has_logged = False
        self._handshakes: set[str] = set()
        self._lacked: set[str] = set()

    def __repr__(self) -> str:
        return f"<Failures of {self._endpoint}>"

    def of(
        self,
        fault: Fault,
        detail: str = "",
        *,
        status: str = "",
        retry_after_s: float | None = None,
        may_count: bool = True,
    ) -> GatewayError:
        """Return the error for ``fault``: the other side answered ``status`` and the message ``detail``.

        The message is passed on where it is about the client's request, and masked where it is not.
        ``may_count``: whether such a status can be evidence against the endpoint.
        """
        detail = self._hidden(detail)
        if fault in _NOT_LET_IN:
            # The caller was authenticated here, so it is this gateway that is not let in: another endpoint,
            # the edge model or a stale answer may still serve.
            self._log_once(detail)
            return GatewayError(
                Fault.UNAVAILABLE,
                f"endpoint '{self._endpoint}' does not let this gateway in",
                retryable=True,
                why=Why("not_let_in", detail, answered=True),
            )
        if fault in _WORDS:
            because = f": {masked(detail)}" if detail else ""
            return GatewayError(
                fault,
                f"endpoint '{self._endpoint}' {_WORDS[fault]}{because}",
                retryable=fault in _RETRYABLE,
                counts=may_count and fault in _COUNTS,
                retry_after_s=retry_after_s,
                why=Why(status or "error", detail, answered=True, of_model=fault is Fault.INTERNAL),
            )
        is_of_input = fault is Fault.INVALID and status in _OF_INPUT
        message = detail or f"endpoint '{self._endpoint}' refused the request"
        why = Why(status, detail, answered=True, of_input=True) if is_of_input else None
        return GatewayError(fault, message, why=why)

    def lost(self, cause: BaseException | None) -> GatewayError:
        """Return the error of a call that ended without an answer, because of ``cause``."""
        lacked = lack(cause)
        if lacked is not None:
            return self.lacks(lacked)
        return self._lost(self.why(cause))

    def handshake(self, found: TlsFinding) -> GatewayError:
        """Return the error of a call that failed for what ``found`` says of TLS."""
        return self._lost(self._logged(found))

    def _lost(self, why: Why) -> GatewayError:
        return GatewayError(
            Fault.UNAVAILABLE,
            f"endpoint '{self._endpoint}' {_WORDS[Fault.UNAVAILABLE]}: {why}",
            retryable=True,
            counts=True,
            why=why,
        )

    def why(self, cause: BaseException | None) -> Why:
        """Return why there was no connection, or why it ended; of a TLS handshake the log says what to do."""
        failed = tls_error(cause)
        return Why(reason_of(cause)) if failed is None else self._logged(finding_of(failed))

    def verdict(self, error: Exception) -> Verdict:
        """Return what a health check found that ended without an answer."""
        return Verdict(ours=True) if lack(error) else Verdict(self.why(error))

    def not_ready(self, detail: str) -> Verdict:
        """Return what a health check found whose answer was that the endpoint is not ready."""
        return Verdict(Why("not_ready", self._hidden(detail), answered=True))

    def _logged(self, found: TlsFinding) -> Why:
        if found.what not in self._handshakes:
            # Once: it comes with every connection.
            self._handshakes.add(found.what)
            _log.error("endpoint %s: the TLS handshake failed: %s: %s", self._endpoint, found.what, found.do)
        return Why("tls", found.what)

    def forget(self) -> None:
        """Log what was logged again when it comes again: something has changed."""
        self._handshakes.clear()
        self._has_logged = False

    def lacks(self, what: str) -> GatewayError:
        """Return the error of a call for which this process lacks something: trying again needs it, too."""
        if what not in self._lacked:
            # Once: it comes with every request.
            self._lacked.add(what)
            _log.error("endpoint %s cannot be connected to: this gateway is out of %s", self._endpoint, what)
        return GatewayError(
            Fault.OVERLOADED,
            f"this gateway is out of {what}, endpoint '{self._endpoint}' cannot be connected to",
            retry_after_s=1.0,
        )

    def closed(self) -> GatewayError:
        """Return the error of a call that our own closing ended: another endpoint may answer."""
        return GatewayError(
            Fault.UNAVAILABLE, f"endpoint '{self._endpoint}' {_WORDS[Fault.UNAVAILABLE]}", retryable=True
        )

    def late(self) -> GatewayError:
        """Return the error of a call that ended with its request's own time: the endpoint is not to blame."""
        return GatewayError(Fault.DEADLINE, f"endpoint '{self._endpoint}' {_WORDS[Fault.DEADLINE]}")

    def cancelled(self, detail: str = "") -> GatewayError:
        """Return the error of a call that the other side cancelled: another attempt may be, too."""
        return GatewayError(
            Fault.UNAVAILABLE,
            f"endpoint '{self._endpoint}' cancelled the call",
            why=Why("cancelled", self._hidden(detail), answered=True, of_model=True),
        )

    def too_large(self, most_bytes: int) -> GatewayError:
        """Return the error of an answer that is larger than we take: it would be again, anywhere."""
        return GatewayError(
            Fault.TOO_LARGE,
            f"the answer of endpoint '{self._endpoint}' is larger than {most_bytes} bytes, the limit of this "
            "gateway (max_body_mib): ask for less at a time",
        )

    def unreadable(self, what: str) -> GatewayError:
        """Return the error of an answer that is there, and that we cannot or will not read.

        It is no evidence against the endpoint, and would be the same again.
        """
        return GatewayError(
            Fault.INTERNAL,
            f"the answer of endpoint '{self._endpoint}' cannot be read: {what}",
            why=Why("protocol", what, answered=True, of_model=True),
        )

    def head_too_large(self) -> GatewayError:
        """Return the error of a call on a connection that ended for a head above our limit.

        The head may have been another call's. So this one may be tried again, and it is no evidence.
        """
        return GatewayError(
            Fault.UNAVAILABLE,
            f"endpoint '{self._endpoint}' sent a head larger than this gateway takes (max_head_bytes)",
            retryable=True,
        )

    def broken(self, detail: str = "") -> GatewayError:
        """Return the error of an answer that breaks the protocol; one model's answers may do so.

        ``detail``: what in it is not as the model's own signature has it.
        """
        said = f"the model's signature has it: {detail}" if detail else "the protocol has it"
        return GatewayError(
            Fault.UNAVAILABLE,
            f"endpoint '{self._endpoint}' sent an answer that is not as {said}",
            retryable=True,
            counts=True,
            why=Why("protocol", detail, answered=True, of_model=True),
        )

    @contextmanager
    def breaking(self, *passed: Fault) -> Iterator[None]:
        """Say of an answer that cannot be read that it breaks the protocol, unless it is we who cannot.

        ``passed``: faults that say something else.
        """
        try:
            yield
        except GatewayError as error:
            if error.fault in OUR_OWN or error.fault in passed:
                raise
            raise self.broken() from error

    def misfit(self, detail: str) -> GatewayError:
        """Return the error of an answer to another request than the one that was sent.

        It is no evidence: a caller may have wanted what is not there, of a server that does not say so.
        """
        return GatewayError(
            Fault.UNAVAILABLE,
            f"endpoint '{self._endpoint}' sent an answer that does not fit the request: {detail}",
            retryable=True,
            why=Why("protocol", detail, answered=True, of_model=True),
        )

    def _log_once(self, detail: str) -> None:
        if not self._has_logged:
            self._has_logged = True
            _log.error("endpoint %s does not let this gateway in: %s", self._endpoint, detail)


def is_overload(status: int, response_headers: Mapping[str, str]) -> bool:
    """Whether a 503 means that its sender works and has enough to do.

    Edgeway's 503 means so where it has Retry-After. Other servers send that header also while they are down.
    """
    return status == 503 and "retry-after" in response_headers and headers.GENERATION in response_headers


class _Unsent:
    """Marks the errors of what is done before anything is sent: they are no answers of the other side.

    An error is not changed: another one, marked ``unsent``, is raised from it.
    """

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, GatewayError):
            raise error.replaced(unsent=True) from error


UNSENT: Final = _Unsent()


def reason_of(cause: BaseException | None) -> str:
    """Return in one word why there was no connection, or why it ended."""
    for kind, reason in _REASONS:
        if isinstance(cause, kind):
            return reason
    if isinstance(cause, OSError):
        return "unreachable" if cause.errno else "unresolved"
    return getattr(cause, "reason", "reset")
