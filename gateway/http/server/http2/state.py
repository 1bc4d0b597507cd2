"""The states of an HTTP/2 connection and of its streams, and the functions that decide between them.

All of it is pure: ``decide`` and ``decide_stream`` know no socket, no clock and no application.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from gateway.http.server.drain import DRAIN_SILENCE_S
from gateway.http.server.settings import TransportSettings

LAST_WORD_S: Final = 0.5
"""Seconds from the GOAWAY that announces the end to the one that names the last stream: a round trip fits."""


class Http2Phase(Enum):
    """How far a connection is."""

    OPEN = "open"
    LEAVING = "leaving"
    """The peer knows that the connection ends; streams that crossed with the GOAWAY are still taken."""
    LEFT = "left"
    """The peer knows the last stream that is answered."""
    ENDED = "ended"


class Http2State(NamedTuple):
    """Where a connection is. ``is_pinged``: it was silent for long, and has to answer a ping."""

    phase: Http2Phase = Http2Phase.OPEN
    is_pinged: bool = False


class Situation(NamedTuple):
    """What a sweep finds.

    ``is_busy``: there are streams, or answers that wait for the peer. ``has_heard``: a frame has ended since
    the sweep before. ``has_begun``: the peer has sent its preface. ``quiet_s``: since something happened to a
    stream; ``silent_s``: since a frame ended; ``partial_s``: since a frame began that has not ended;
    ``leaving_s``: since the end was announced.
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
    """Streamed requests end after the message that has begun: by themselves they may never end."""
    NOTE_LIFE = "note life"
    NOTE_HEARD = "note heard"
    GIVE_UP_SLOW = "give up slow"
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
        # What crossed with the first GOAWAY has come by now. What comes after this one is not answered.
        phase = Http2Phase.LEFT
        commands += (Http2Command.NAME_LAST_STREAM, Http2Command.END_CONVERSATIONS)
    commands += (Http2Command.GIVE_UP_SLOW,)
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
    """Its body is collected."""
    CONVERSING = "conversing"
    """Its body comes, and is read and answered meanwhile."""
    CONVERSED = "conversed"
    """The same, and its body has ended."""
    ANSWERING = "answering"
    """Its whole body is there, and is being answered."""
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


class StreamCommand(Enum):
    """What a connection does about a stream."""

    NOTHING = "nothing"
    ANSWER = "answer"
    END_BODY = "end body"
    REFUSE = "refuse"
    RESET_CALM = "reset with ENHANCE_YOUR_CALM"
    """Of a body that is being read already, only a reset can say that it is unwanted."""
    RESET_CANCEL = "reset with CANCEL"
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
    return _LEFT if event is StreamEvent.PEER_LEFT else _STUCK
