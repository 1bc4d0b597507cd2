"""The states of an HTTP/2 connection and of its streams, and the functions that decide between them.

All of it is pure: ``decide`` and ``decide_stream`` know no socket, no clock and no application.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from gateway.http.server.drain import DRAIN_SILENCE_S
from gateway.http.server.settings import TransportSettings

LAST_WORD_S: Final = 0.5
"""Seconds between the first GOAWAY, which announces the end, and the second, which names the last stream.

At least a round trip: streams that the peer opened before it read the first are still answered."""


class Http2Phase(Enum):
    """How far a connection is."""

    OPEN = "open"
    LEAVING = "leaving"
    """The first GOAWAY was sent. New streams are still accepted: the peer may not have read it yet."""
    LEFT = "left"
    """The second GOAWAY was sent. It names the last stream that is answered."""
    ENDED = "ended"


class Http2State(NamedTuple):
    """The state of a connection. ``is_pinged``: the peer was silent for long, and has to answer a ping."""

    phase: Http2Phase = Http2Phase.OPEN
    is_pinged: bool = False


class Situation(NamedTuple):
    """What the periodic check of a connection finds.

    ``is_busy``: streams are open, or answers are not written to the end. ``is_paused``: the peer does not
    read. ``has_heard``: a whole frame has come since the last check. ``has_begun``: the peer has sent its
    preface. Seconds: ``quiet_s`` since the last event of any stream; ``silent_s`` since the last whole frame;
    ``partial_s`` since the first byte of a frame that is not whole yet; ``leaving_s`` since the first GOAWAY.
    """

    is_busy: bool = False
    is_paused: bool = False
    has_heard: bool = False
    has_begun: bool = True
    is_draining: bool = False
    quiet_s: float = 0.0
    silent_s: float = 0.0
    partial_s: float = 0.0
    leaving_s: float = 0.0


class Http2ConnectionEvent(Enum):
    """What happens to a connection as a whole."""

    DRAIN_BEGAN = "drain began"
    SWEPT = "swept"


class Http2Command(Enum):
    """What a connection does next."""

    ANNOUNCE_END = "announce end"
    NAME_LAST_STREAM = "name last stream"
    END_CONVERSATIONS = "end conversations"
    """End streamed requests after the message that is being read: they may never end by themselves."""
    NOTE_LIFE = "note life"
    NOTE_HEARD = "note heard"
    END_SLOW = "end slow"
    PING = "ping"
    FLUSH = "flush"
    CLOSE = "close"


Http2Commands = tuple[Http2Command, ...]
_NONE: Final[Http2Commands] = ()
_DRAIN: Final = (Http2Command.ANNOUNCE_END, Http2Command.END_CONVERSATIONS, Http2Command.FLUSH)
_END: Final = (Http2Command.NAME_LAST_STREAM, Http2Command.FLUSH, Http2Command.CLOSE)


def decide(
    state: Http2State, event: Http2ConnectionEvent, found: Situation, settings: TransportSettings
) -> tuple[Http2State, Http2Commands]:
    """Return the state after ``event``, and what to do."""
    if event is Http2ConnectionEvent.DRAIN_BEGAN:
        return (Http2State(Http2Phase.LEAVING), _DRAIN) if state.phase is Http2Phase.OPEN else (state, _NONE)
    return _sweep_busy(state, found, settings) if found.is_busy else _sweep_idle(state, found, settings)


def _sweep_idle(
    state: Http2State, found: Situation, settings: TransportSettings
) -> tuple[Http2State, Http2Commands]:
    headers_s = settings.request_headers_timeout_s
    if found.is_draining:
        limit_s = DRAIN_SILENCE_S
    elif found.has_begun:
        limit_s = settings.idle_timeout_s
    else:
        limit_s = min(headers_s, settings.idle_timeout_s)
    if found.partial_s > headers_s or found.quiet_s > limit_s:
        return Http2State(Http2Phase.ENDED), _END
    return state, _NONE


def _sweep_busy(
    state: Http2State, found: Situation, settings: TransportSettings
) -> tuple[Http2State, Http2Commands]:
    phase, is_pinged = state
    commands: Http2Commands = (Http2Command.NOTE_LIFE,)
    if phase is Http2Phase.LEAVING and found.leaving_s > LAST_WORD_S:
        # Streams opened before the peer read the first GOAWAY have come by now; later ones are not answered.
        phase = Http2Phase.LEFT
        commands += (Http2Command.NAME_LAST_STREAM, Http2Command.END_CONVERSATIONS)
    commands += (Http2Command.END_SLOW,)
    if found.has_heard:
        is_pinged = False
        commands += (Http2Command.NOTE_HEARD,)
    elif found.silent_s > settings.request_headers_timeout_s and not found.is_paused:
        # A peer that is gone, or that never ends its headers, does not answer a ping.
        if is_pinged:
            return Http2State(Http2Phase.ENDED), (*commands, *_END)
        is_pinged = True
        commands += (Http2Command.PING, Http2Command.NOTE_HEARD)
    return Http2State(phase, is_pinged), (*commands, Http2Command.FLUSH)


class StreamState(Enum):
    """How far a request is. The connection forgets a stream that is answered, or closed."""

    RECEIVING = "receiving"
    """The body is being collected."""
    CONVERSING = "conversing"
    """The application reads and answers the body while it comes."""
    CONVERSED = "conversed"
    """The application still answers; the body has ended."""
    ANSWERING = "answering"
    """The whole body has come, and the request is being answered."""
    CLOSED = "closed"


class StreamEvent(Enum):
    """What happens to a stream."""

    BODY_ENDED = "body ended"
    BODY_UNWANTED = "body unwanted"
    """It is too large, or too slow, or there is no room for it."""
    PEER_LEFT = "peer left"
    """It has reset the stream, or the connection is gone."""
    PEER_STUCK = "peer stuck"
    """It does not take the answer."""
    UNWANTED = "unwanted"
    """Neither side sends anything, or there is no room for it."""


class StreamCommand(Enum):
    """What a connection does about a stream."""

    NOTHING = "nothing"
    ANSWER = "answer"
    END_BODY = "end body"
    REFUSE = "refuse"
    RESET_CALM = "reset with ENHANCE_YOUR_CALM"
    """While the application reads the body, only a reset can refuse the rest of it."""
    RESET_CANCEL = "reset with CANCEL"
    END_EARLY = "end early"
    """Refuse it; an answer that has begun ends early."""
    DROP = "drop"


Decision = tuple[StreamState, StreamCommand]

# Looked up once: on Python 3.11 a member costs as much as a call, and each request passes here.
BODY_ENDED: Final = StreamEvent.BODY_ENDED
_BODY_UNWANTED: Final = StreamEvent.BODY_UNWANTED
_RECEIVING: Final = StreamState.RECEIVING
_CONVERSING: Final = StreamState.CONVERSING
_CLOSED: Final = StreamState.CLOSED
_NOTHING: Final = StreamCommand.NOTHING

_ANSWER: Final[Decision] = (StreamState.ANSWERING, StreamCommand.ANSWER)
_END_BODY: Final[Decision] = (StreamState.CONVERSED, StreamCommand.END_BODY)
_REFUSE: Final[Decision] = (StreamState.CLOSED, StreamCommand.REFUSE)
_RESET: Final[Decision] = (StreamState.CLOSED, StreamCommand.RESET_CALM)
_LEFT: Final[Decision] = (StreamState.CLOSED, StreamCommand.DROP)
_STUCK: Final[Decision] = (StreamState.CLOSED, StreamCommand.RESET_CANCEL)
_UNWANTED: Final[Decision] = (StreamState.CLOSED, StreamCommand.END_EARLY)


def decide_stream(state: StreamState, event: StreamEvent) -> Decision:
    """Return the state after ``event``, and what to do."""
    if event is BODY_ENDED or event is _BODY_UNWANTED:
        if state is _RECEIVING:
            return _ANSWER if event is BODY_ENDED else _REFUSE
        if state is _CONVERSING:
            return _END_BODY if event is BODY_ENDED else _RESET
        # A body that has ended already neither ends again nor is unwanted.
        return state, _NOTHING
    if state is _CLOSED:
        return state, _NOTHING
    if event is StreamEvent.UNWANTED:
        return _UNWANTED
    return _LEFT if event is StreamEvent.PEER_LEFT else _STUCK
