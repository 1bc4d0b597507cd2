"""The states of an HTTP/1.1 connection, and the one function that decides between them.

``decide`` is pure: from the state, an event and the work at hand it returns the next state, and what the
connection has to do, in this order. It knows no socket, no clock and no application.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from gateway.http.server.drain import DRAIN_HEADERS_S, DRAIN_SILENCE_S
from gateway.http.server.settings import TransportSettings


class Http1Phase(Enum):
    """The one thing that a connection waits for."""

    HEADERS = "headers"
    """The rest of a request's headers, or the very first byte."""
    IDLE = "idle"
    """The next request."""
    BODY = "body"
    """The rest of a request's body."""
    ANSWERING = "answering"
    """The application's answer. It has no time limit here."""
    LINGERING = "lingering"
    """The peer's end of the connection, after a refusal: what it still sends is dropped."""
    CLOSING = "closing"
    """The peer to read the last bytes. ``WriteProgress`` limits the time for that."""


class Reading(Enum):
    """What becomes of bytes that the peer sends from now on."""

    OPEN = "open"
    """The bytes are parsed as requests."""
    ENDED = "ended"
    """The bytes are ignored: the last request of the connection was read, or the peer has left."""
    REFUSED = "refused"
    """The bytes are read and dropped for a while, so that the peer can read why it was refused."""


class Http1State(NamedTuple):
    """The state of a connection."""

    phase: Http1Phase
    reading: Reading = Reading.OPEN


class Work(NamedTuple):
    """What is under way on a connection when an event comes.

    ``has_partial_headers``, ``has_partial_body``: a part of a request has come. ``is_answering``: a request
    is being answered. ``has_waiting``: more requests wait behind that one. ``is_last_written``: a response
    with ``connection: close`` was written.
    """

    has_partial_headers: bool = False
    has_partial_body: bool = False
    is_answering: bool = False
    has_waiting: bool = False
    is_last_written: bool = False


class Http1ConnectionEvent(Enum):
    """What happens to a connection."""

    HEADERS_ACCEPTED = "headers accepted"
    LAST_REQUEST_READ = "last request read"
    REQUEST_REFUSED = "request refused"
    """Nothing more can be read: the request is malformed, or its body is not read to the end."""
    STEP_DONE = "step done"
    """All bytes that have come were processed, or a response was written."""
    OVERDUE = "overdue"
    """The phase has taken longer than it may."""
    DRAIN_BEGAN = "drain began"
    PEER_ENDED = "peer ended"
    """The peer has closed its side. As in Envoy, that counts as having left."""
    CONNECTION_LOST = "connection lost"


class Http1Command(Enum):
    """What a connection does next."""

    RESTART_TIMER = "restart timer"
    INVITE_BODY = "invite body"
    """Send 100 Continue, if the request waits for it and its turn has come."""
    FLUSH_SOON = "flush soon"
    FLUSH = "flush"
    REFUSE_HEADERS = "refuse headers"
    """The headers took too long: answer 408."""
    REFUSE_BODY = "refuse body"
    """The body took too long: answer 408."""
    DROP_REQUESTS = "drop requests"
    """Forget the requests that have come, except the one that is being answered."""
    END_WRITING = "end writing"
    WATCH_WRITING = "watch writing"
    """Nothing more will be written: from now on the peer has to read what was."""
    CLOSE = "close"
    CANCEL_ANSWER = "cancel answer"


Http1Commands = tuple[Http1Command, ...]

NEW: Final = Http1State(Http1Phase.HEADERS)
AT_REST: Final = Http1State(Http1Phase.IDLE)

_OPEN: Final = Reading.OPEN
_STEP_DONE: Final = Http1ConnectionEvent.STEP_DONE
_HEADERS_ACCEPTED: Final = Http1ConnectionEvent.HEADERS_ACCEPTED
_NONE: Final[Http1Commands] = ()
_RESTART: Final = (Http1Command.RESTART_TIMER,)
_CLOSE: Final = (Http1Command.WATCH_WRITING, Http1Command.CLOSE)
_STEP: Final = (Http1Command.INVITE_BODY, Http1Command.FLUSH_SOON)
_END: Final = (*_STEP, Http1Command.FLUSH, Http1Command.DROP_REQUESTS)
_OVER: Final = frozenset({Http1Phase.LINGERING, Http1Phase.CLOSING})
_CLOSED: Final = Http1State(Http1Phase.CLOSING, Reading.ENDED)
_READ: Final = {
    Http1ConnectionEvent.LAST_REQUEST_READ: Reading.ENDED,
    Http1ConnectionEvent.REQUEST_REFUSED: Reading.REFUSED,
}
_GONE: Final[dict[Http1ConnectionEvent, Http1Commands]] = {
    Http1ConnectionEvent.PEER_ENDED: (Http1Command.WATCH_WRITING,),
    Http1ConnectionEvent.CONNECTION_LOST: (Http1Command.DROP_REQUESTS, Http1Command.CANCEL_ANSWER),
}


def decide(state: Http1State, event: Http1ConnectionEvent, work: Work) -> tuple[Http1State, Http1Commands]:
    """Return the state after ``event``, and what to do."""
    phase, reading = state
    if event is _STEP_DONE:
        return (state, _NONE) if phase in _OVER else _step(reading, work)
    if event is _HEADERS_ACCEPTED:
        return Http1State(Http1Phase.BODY, reading), (Http1Command.RESTART_TIMER, Http1Command.INVITE_BODY)
    if event in _READ:
        return Http1State(phase, _READ[event]), _NONE
    if event in _GONE:
        return _CLOSED, _GONE[event]
    if event is Http1ConnectionEvent.OVERDUE:
        return _overdue(state, work)
    # A drain: the next request may be on its way already; to close now would be to lose it.
    return state, _RESTART if phase in (Http1Phase.IDLE, Http1Phase.HEADERS) else _NONE


def _step(reading: Reading, work: Work) -> tuple[Http1State, Http1Commands]:
    is_read = reading is not _OPEN
    if not work.is_answering and (work.is_last_written or (is_read and not work.has_waiting)):
        # What waits behind the last response is not answered any more.
        if reading is Reading.REFUSED or work.has_waiting or work.has_partial_body:
            # Closed with bytes of the peer's unread, the kernel would take back what the peer has not read.
            return Http1State(Http1Phase.LINGERING, Reading.REFUSED), (*_END, Http1Command.END_WRITING)
        return _CLOSED, (*_END, *_CLOSE)
    if work.has_partial_body:
        phase = Http1Phase.BODY
    elif work.is_answering or work.has_waiting:
        phase = Http1Phase.HEADERS if work.has_partial_headers and not is_read else Http1Phase.ANSWERING
    else:
        phase = Http1Phase.HEADERS if work.has_partial_headers else Http1Phase.IDLE
    return Http1State(phase, reading), _STEP


def _overdue(state: Http1State, work: Work) -> tuple[Http1State, Http1Commands]:
    if state.phase is Http1Phase.BODY:
        return state, (Http1Command.REFUSE_BODY,)
    if state.phase is Http1Phase.HEADERS and work.has_partial_headers:
        return state, (Http1Command.REFUSE_HEADERS,)
    return _CLOSED, _CLOSE


def is_overdue(
    phase: Http1Phase, elapsed_s: float, settings: TransportSettings, *, is_draining: bool
) -> bool:
    """Whether ``phase`` has taken too long; of a body, ``BodyProgress`` knows that."""
    if phase is Http1Phase.IDLE:
        return elapsed_s > (DRAIN_SILENCE_S if is_draining else settings.idle_timeout_s)
    if phase is Http1Phase.HEADERS:
        limit_s = settings.request_headers_timeout_s
        return elapsed_s > (min(limit_s, DRAIN_HEADERS_S) if is_draining else limit_s)
    return phase is Http1Phase.LINGERING and elapsed_s > settings.lingering_s
