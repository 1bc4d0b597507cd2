"""HTTP under an upstream, in whichever version: what all versions have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from gateway.core.tensor import Buffer
from gateway.http.client.evidence import Evidence
from gateway.http.client.http1_connection import ConnectionLostError
from gateway.http.client.http2_connection import AnswerRefusedError, LostError, NotProcessedError, ResetError
from gateway.http.framing.errors import AnswerTooLargeError, FramingError
from gateway.upstreams.connections import Connections
from gateway.upstreams.failures import is_overload
from gateway.upstreams.outgoing import Pairs

Headers = Mapping[str, str]

NO_ANSWER: Final = (
    OSError,
    ConnectionLostError,
    LostError,
    NotProcessedError,
    ResetError,
    AnswerRefusedError,
    AnswerTooLargeError,
    FramingError,
)
"""The ways in which a question over a connection of its own ends without an answer."""

CHECK_BYTES: Final = 1 << 16
"""Of the answer to a health check."""

ALWAYS: Final = (("accept", "*/*"), ("accept-encoding", "identity"))
_OUT_OF_SERVICE: Final = frozenset({502, 503})
_SAYS_NOTHING: Final = frozenset({504})
"""It may have been the caller's own time that was up there."""


class UpstreamAnswer(NamedTuple):
    """An answer; names of headers are in lower case."""

    status: int
    headers: Headers
    body: Buffer


class UpstreamWire(Protocol):
    """The connections to one endpoint, of one version of HTTP."""

    @property
    def connections(self) -> Connections[Any]:
        """The connections."""
        ...

    async def send(
        self, verb: str, path: str, sent: Headers, more: Pairs, body: Sequence[Buffer]
    ) -> UpstreamAnswer:
        """Send a request and return its answer; cancelling the call cancels it there too.

        ``body`` empty: the request has none.

        Raises:
            GatewayError: there is no answer.
        """
        ...

    async def ask(self, address: str, path: str) -> UpstreamAnswer:
        """GET ``path`` from ``address``, over a connection of its own.

        Raises:
            OSError, ConnectionLostError, LostError: there is none; also the others of ``NO_ANSWER``.
        """
        ...

    def dress(self) -> None:
        """Send the headers that all requests carry as they are now."""
        ...

    async def aclose(self) -> None:
        """Close the connections; calls under way fail."""
        ...


def evidence_of(status: int, received: Headers) -> Evidence:
    """Return what an answer shows about the endpoint behind its address."""
    if status in _SAYS_NOTHING or is_overload(status, received):
        return Evidence.NONE
    return Evidence.FAILS if status in _OUT_OF_SERVICE else Evidence.WORKS
