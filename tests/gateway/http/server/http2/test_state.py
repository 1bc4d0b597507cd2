"""The playbook of an HTTP/2 connection and its streams: an event in, the next state and commands out."""

from __future__ import annotations

import math

import pytest

from gateway.http.server.http2.state import (
    LAST_WORD_S,
    Http2Command,
    Http2ConnectionEvent,
    Http2Phase,
    Http2State,
    Situation,
    StreamCommand,
    StreamEvent,
    StreamState,
    decide,
    decide_stream,
)
from gateway.http.server.settings import TransportSettings

SETTINGS = TransportSettings(request_headers_timeout_s=5.0, idle_timeout_s=60.0)
END = (Http2Command.NAME_LAST_STREAM, Http2Command.FLUSH, Http2Command.CLOSE)
IDLE = Situation(partial_s=-math.inf)
BUSY = IDLE._replace(is_busy=True)


def sweep(state: Http2State, found: Situation) -> tuple[Http2State, tuple[Http2Command, ...]]:
    return decide(state, Http2ConnectionEvent.SWEPT, found, SETTINGS)


def test_a_drain_announces_the_end_once():
    """Conversations end after the message that has begun."""
    state, commands = decide(Http2State(), Http2ConnectionEvent.DRAIN_BEGAN, Situation(), SETTINGS)
    assert state == Http2State(Http2Phase.LEAVING)
    assert commands == (Http2Command.ANNOUNCE_END, Http2Command.END_CONVERSATIONS, Http2Command.FLUSH)

    assert decide(state, Http2ConnectionEvent.DRAIN_BEGAN, Situation(), SETTINGS) == (state, ())


def test_the_last_stream_is_named_a_round_trip_later():
    """What crossed with the announcement is still taken. Once."""
    leaving = Http2State(Http2Phase.LEAVING)
    early, commands = sweep(leaving, BUSY._replace(leaving_s=LAST_WORD_S))
    assert (early, Http2Command.NAME_LAST_STREAM in commands) == (leaving, False)

    left, commands = sweep(leaving, BUSY._replace(leaving_s=LAST_WORD_S + 0.01))
    assert left == Http2State(Http2Phase.LEFT)
    assert commands[:3] == (
        Http2Command.NOTE_LIFE,
        Http2Command.NAME_LAST_STREAM,
        Http2Command.END_CONVERSATIONS,
    )

    again, commands = sweep(left, BUSY._replace(leaving_s=9.0))
    assert (again, Http2Command.NAME_LAST_STREAM in commands) == (left, False)


@pytest.mark.parametrize(
    ("found", "limit_s"),
    [(IDLE, 60.0), (IDLE._replace(has_begun=False), 5.0), (IDLE._replace(is_draining=True), 1.0)],
    ids=["idle", "never begun", "draining"],
)
def test_an_idle_connection_ends(found: Situation, limit_s: float):
    """Sooner where it never began, and sooner still in a drain."""
    assert sweep(Http2State(), found._replace(quiet_s=limit_s)) == (Http2State(), ())
    assert sweep(Http2State(), found._replace(quiet_s=limit_s + 0.01)) == (Http2State(Http2Phase.ENDED), END)


def test_a_frame_that_never_ends():
    """Without streams it has as long as headers have."""
    assert sweep(Http2State(), IDLE._replace(partial_s=5.0)) == (Http2State(), ())
    assert sweep(Http2State(), IDLE._replace(partial_s=5.01)) == (Http2State(Http2Phase.ENDED), END)


def test_a_silent_peer_is_pinged_and_left():
    """Beside open streams. Any frame that ends is a sign of life."""
    silent = BUSY._replace(silent_s=5.01)
    pinged, commands = sweep(Http2State(), silent)
    assert pinged == Http2State(is_pinged=True)
    assert commands == (
        Http2Command.NOTE_LIFE,
        Http2Command.END_SLOW,
        Http2Command.PING,
        Http2Command.NOTE_HEARD,
        Http2Command.FLUSH,
    )

    assert sweep(pinged, BUSY._replace(silent_s=4.0))[0] == pinged
    assert sweep(pinged, BUSY._replace(silent_s=9.0, has_heard=True)) == (
        Http2State(),
        (Http2Command.NOTE_LIFE, Http2Command.END_SLOW, Http2Command.NOTE_HEARD, Http2Command.FLUSH),
    )
    ended, commands = sweep(pinged, silent)
    assert (ended, commands[-3:]) == (Http2State(Http2Phase.ENDED), END)


def test_who_does_not_read_is_not_pinged():
    """The answer to the ping might wait behind what it does not read."""
    state, commands = sweep(Http2State(), BUSY._replace(silent_s=99.0, is_paused=True))

    assert (state, Http2Command.PING in commands) == (Http2State(), False)


def test_a_busy_connection_is_never_idle():
    """However long its answer takes."""
    assert sweep(Http2State(), BUSY._replace(quiet_s=1e6))[0] == Http2State()


OPEN = (StreamState.RECEIVING, StreamState.CONVERSING, StreamState.CONVERSED, StreamState.ANSWERING)


@pytest.mark.parametrize(
    ("state", "event", "after", "command"),
    [
        (StreamState.RECEIVING, StreamEvent.BODY_ENDED, StreamState.ANSWERING, StreamCommand.ANSWER),
        (StreamState.CONVERSING, StreamEvent.BODY_ENDED, StreamState.CONVERSED, StreamCommand.END_BODY),
        (StreamState.RECEIVING, StreamEvent.BODY_UNWANTED, StreamState.CLOSED, StreamCommand.REFUSE),
        (StreamState.CONVERSING, StreamEvent.BODY_UNWANTED, StreamState.CLOSED, StreamCommand.RESET_CALM),
    ],
)
def test_the_body_of_a_stream(
    state: StreamState, event: StreamEvent, after: StreamState, command: StreamCommand
):
    """A whole one is answered or refused; of one that is read already only a reset can tell."""
    assert decide_stream(state, event) == (after, command)


@pytest.mark.parametrize("event", [StreamEvent.BODY_ENDED, StreamEvent.BODY_UNWANTED])
@pytest.mark.parametrize("state", [StreamState.CONVERSED, StreamState.ANSWERING, StreamState.CLOSED])
def test_a_body_that_has_ended(state: StreamState, event: StreamEvent):
    """Neither ends again nor is unwanted."""
    assert decide_stream(state, event) == (state, StreamCommand.NOTHING)


@pytest.mark.parametrize("state", OPEN)
def test_the_end_of_a_stream(state: StreamState):
    """A peer that has left needs no reset; one that does not take its answer gets one."""
    assert decide_stream(state, StreamEvent.PEER_LEFT) == (StreamState.CLOSED, StreamCommand.DROP)
    assert decide_stream(state, StreamEvent.PEER_STUCK) == (StreamState.CLOSED, StreamCommand.RESET_CANCEL)


@pytest.mark.parametrize("event", StreamEvent)
def test_a_closed_stream_stays_closed(event: StreamEvent):
    """Nothing is done twice."""
    assert decide_stream(StreamState.CLOSED, event) == (StreamState.CLOSED, StreamCommand.NOTHING)
