"""The playbook of an HTTP/1.1 connection: a state and an event in, the next state and commands out."""

from __future__ import annotations

import itertools

import pytest

from gateway.http.server.http1.state import (
    AT_REST,
    NEW,
    Http1Command,
    Http1Commands,
    Http1ConnectionEvent,
    Http1Phase,
    Http1State,
    Reading,
    Work,
    decide,
    is_overdue,
)
from gateway.http.server.settings import TransportSettings

STEP = (Http1Command.INVITE_BODY, Http1Command.FLUSH_SOON)
END = (*STEP, Http1Command.FLUSH, Http1Command.DROP_REQUESTS)
CLOSE = (Http1Command.WATCH_WRITING, Http1Command.CLOSE)
CLOSED = Http1State(Http1Phase.CLOSING, Reading.ENDED)
LIMITS = TransportSettings(
    request_headers_timeout_s=5.0,
    idle_timeout_s=2.0,
    body_timeout_s=4.0,
    min_body_bytes_per_s=1 << 10,
    lingering_s=3.0,
)


def play(
    *moves: tuple[Http1ConnectionEvent, Work], state: Http1State = NEW
) -> tuple[Http1State, list[Http1Commands]]:
    """Go through ``moves``; return where they lead, and what had to be done on the way."""
    done = []
    for event, work in moves:
        state, commands = decide(state, event, work)
        done.append(commands)
    return state, done


def test_a_request_that_waits_for_its_body_and_its_answer():
    """Headers, body, answer, and the next request is waited for."""
    state, done = play(
        (Http1ConnectionEvent.HEADERS_ACCEPTED, Work(has_partial_body=True)),
        (Http1ConnectionEvent.STEP_DONE, Work(has_partial_body=True)),
    )
    assert state == Http1State(Http1Phase.BODY)
    assert done == [(Http1Command.RESTART_TIMER, Http1Command.INVITE_BODY), STEP]

    state, done = play((Http1ConnectionEvent.STEP_DONE, Work(is_answering=True)), state=state)
    assert (state, done) == (Http1State(Http1Phase.ANSWERING), [STEP])

    assert play((Http1ConnectionEvent.STEP_DONE, Work()), state=state) == (AT_REST, [STEP])


@pytest.mark.parametrize(
    ("work", "phase"),
    [
        (Work(), Http1Phase.IDLE),
        (Work(has_partial_headers=True), Http1Phase.HEADERS),
        (Work(has_partial_headers=True, is_answering=True), Http1Phase.HEADERS),
        (Work(is_answering=True), Http1Phase.ANSWERING),
        (Work(has_waiting=True), Http1Phase.ANSWERING),
        (Work(has_partial_body=True, is_answering=True), Http1Phase.BODY),
        (Work(is_answering=True, is_last_written=True), Http1Phase.ANSWERING),
    ],
)
def test_what_is_waited_for(work: Work, phase: Http1Phase):
    """Of a peer that still sends: what it has begun comes before what we owe."""
    assert decide(NEW, Http1ConnectionEvent.STEP_DONE, work) == (Http1State(phase), STEP)


def test_headers_behind_the_last_request_are_not_waited_for():
    """They are not read any more."""
    last = Http1State(Http1Phase.BODY, Reading.ENDED)

    state, _ = decide(last, Http1ConnectionEvent.STEP_DONE, Work(has_partial_headers=True, is_answering=True))

    assert state == Http1State(Http1Phase.ANSWERING, Reading.ENDED)


def test_the_last_request():
    """It is answered, and the connection ends."""
    state, done = play(
        (Http1ConnectionEvent.LAST_REQUEST_READ, Work(has_partial_body=True)),
        (Http1ConnectionEvent.STEP_DONE, Work(is_answering=True)),
        (Http1ConnectionEvent.STEP_DONE, Work(is_last_written=True)),
    )

    assert (state, done) == (CLOSED, [(), STEP, (*END, *CLOSE)])


def test_a_refused_request():
    """The peer gets to read why: it is listened to until it ends, or for a while."""
    state, done = play(
        (Http1ConnectionEvent.REQUEST_REFUSED, Work(has_partial_body=True)),
        (Http1ConnectionEvent.STEP_DONE, Work(is_last_written=True)),
    )
    assert state == Http1State(Http1Phase.LINGERING, Reading.REFUSED)
    assert done == [(), (*END, Http1Command.END_WRITING)]

    assert play(
        (Http1ConnectionEvent.STEP_DONE, Work()), (Http1ConnectionEvent.OVERDUE, Work()), state=state
    ) == (
        CLOSED,
        [(), CLOSE],
    )


@pytest.mark.parametrize("work", [Work(has_waiting=True), Work(has_partial_body=True)])
def test_the_end_with_requests_left(work: Work):
    """They are dropped, and the peer is listened to: else the kernel would take back the last response."""
    state, commands = decide(
        Http1State(Http1Phase.ANSWERING), Http1ConnectionEvent.STEP_DONE, work._replace(is_last_written=True)
    )

    assert (state.phase, commands) == (Http1Phase.LINGERING, (*END, Http1Command.END_WRITING))


def test_a_refusal_waits_for_the_answers_before_it():
    """Nothing ends before they are written."""
    refused = Http1State(Http1Phase.BODY, Reading.REFUSED)

    for work in (Work(has_waiting=True), Work(is_answering=True)):
        assert decide(refused, Http1ConnectionEvent.STEP_DONE, work) == (
            Http1State(Http1Phase.ANSWERING, Reading.REFUSED),
            STEP,
        )


@pytest.mark.parametrize(
    ("phase", "work", "commands"),
    [
        (Http1Phase.HEADERS, Work(has_partial_headers=True), (Http1Command.REFUSE_HEADERS,)),
        (Http1Phase.BODY, Work(has_partial_body=True), (Http1Command.REFUSE_BODY,)),
        (Http1Phase.HEADERS, Work(), CLOSE),
        (Http1Phase.IDLE, Work(), CLOSE),
        (Http1Phase.LINGERING, Work(), CLOSE),
    ],
)
def test_what_is_overdue(phase: Http1Phase, work: Work, commands: Http1Commands):
    """A request that has begun is refused; whoever sends nothing is left without a word."""
    state, done = decide(Http1State(phase), Http1ConnectionEvent.OVERDUE, work)

    assert done == commands
    assert state == (CLOSED if commands == CLOSE else Http1State(phase))


@pytest.mark.parametrize("phase", Http1Phase)
def test_a_drain(phase: Http1Phase):
    """It gives the next request a moment, from now on; what is under way goes on."""
    restarts = phase in (Http1Phase.IDLE, Http1Phase.HEADERS)

    assert decide(Http1State(phase), Http1ConnectionEvent.DRAIN_BEGAN, Work()) == (
        Http1State(phase),
        (Http1Command.RESTART_TIMER,) if restarts else (),
    )


@pytest.mark.parametrize(
    ("event", "commands"),
    [
        (Http1ConnectionEvent.PEER_ENDED, (Http1Command.WATCH_WRITING,)),
        (Http1ConnectionEvent.CONNECTION_LOST, (Http1Command.DROP_REQUESTS, Http1Command.CANCEL_ANSWER)),
    ],
)
def test_a_peer_that_is_gone(event: Http1ConnectionEvent, commands: Http1Commands):
    """Whatever was under way; and nothing that comes later brings the connection back."""
    for phase, reading in itertools.product(Http1Phase, Reading):
        assert decide(Http1State(phase, reading), event, Work(is_answering=True)) == (CLOSED, commands)
    assert play((Http1ConnectionEvent.STEP_DONE, Work(is_last_written=True)), state=CLOSED) == (CLOSED, [()])


def test_no_step_leads_back_from_the_end():
    """Over all states and all work: what is closing or lingering does nothing more at a step."""
    for phase, reading in itertools.product((Http1Phase.CLOSING, Http1Phase.LINGERING), Reading):
        for flags in itertools.product((False, True), repeat=len(Work._fields)):
            state = Http1State(phase, reading)
            assert decide(state, Http1ConnectionEvent.STEP_DONE, Work(*flags)) == (state, ())


def test_no_step_reads_again_what_it_had_ended():
    """Over all states and all work."""
    for phase, flags in itertools.product(
        Http1Phase, itertools.product((False, True), repeat=len(Work._fields))
    ):
        for reading in (Reading.ENDED, Reading.REFUSED):
            state, _ = decide(Http1State(phase, reading), Http1ConnectionEvent.STEP_DONE, Work(*flags))
            assert state.reading is not Reading.OPEN


@pytest.mark.parametrize(
    ("phase", "limit_s"),
    [
        (Http1Phase.HEADERS, 5.0),
        (Http1Phase.IDLE, 2.0),
        (Http1Phase.BODY, None),
        (Http1Phase.LINGERING, 3.0),
        (Http1Phase.CLOSING, None),
        (Http1Phase.ANSWERING, None),
    ],
)
def test_limits(phase: Http1Phase, limit_s: float | None):
    """Each wait has its own; bodies, and responses of ours, have none here."""
    assert not is_overdue(phase, limit_s or 1e6, LIMITS, is_draining=False)
    assert is_overdue(phase, (limit_s or 1e6) + 0.01, LIMITS, is_draining=False) is (limit_s is not None)


@pytest.mark.parametrize(("phase", "limit_s"), [(Http1Phase.HEADERS, 2.0), (Http1Phase.IDLE, 1.0)])
def test_limits_of_a_drain(phase: Http1Phase, limit_s: float):
    """It waits a little for headers, and less for a peer that sends nothing."""
    assert not is_overdue(phase, limit_s, LIMITS, is_draining=True)
    assert is_overdue(phase, limit_s + 0.01, LIMITS, is_draining=True)
