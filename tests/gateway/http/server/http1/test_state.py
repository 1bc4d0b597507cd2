"""The playbook of an HTTP/1.1 connection: a state and an event in, the next state and commands out."""

from __future__ import annotations

import itertools

import pytest

from gateway.http.server.http1.state import (
    AT_REST,
    NEW,
    Command,
    Commands,
    Event,
    Phase,
    Reading,
    State,
    Work,
    decide,
    is_overdue,
)
from gateway.http.server.settings import TransportSettings

STEP = (Command.INVITE_BODY, Command.FLUSH_SOON)
END = (*STEP, Command.FLUSH, Command.DROP_REQUESTS)
CLOSE = (Command.WATCH_WRITING, Command.CLOSE)
CLOSED = State(Phase.CLOSING, Reading.ENDED)
LIMITS = TransportSettings(
    request_headers_timeout_s=5.0,
    idle_timeout_s=2.0,
    body_timeout_s=4.0,
    min_body_bytes_per_s=1 << 10,
    lingering_s=3.0,
)


def play(*moves: tuple[Event, Work], state: State = NEW) -> tuple[State, list[Commands]]:
    """Go through ``moves``; return where they lead, and what had to be done on the way."""
    done = []
    for event, work in moves:
        state, commands = decide(state, event, work)
        done.append(commands)
    return state, done


def test_a_request_that_waits_for_its_body_and_its_answer():
    """Headers, body, answer, and the next request is waited for."""
    state, done = play(
        (Event.HEADERS_ACCEPTED, Work(has_partial_body=True)),
        (Event.STEP_DONE, Work(has_partial_body=True)),
    )
    assert state == State(Phase.BODY)
    assert done == [(Command.RESTART_TIMER, Command.INVITE_BODY), STEP]

    state, done = play((Event.STEP_DONE, Work(is_answering=True)), state=state)
    assert (state, done) == (State(Phase.ANSWERING), [STEP])

    assert play((Event.STEP_DONE, Work()), state=state) == (AT_REST, [STEP])


@pytest.mark.parametrize(
    ("work", "phase"),
    [
        (Work(), Phase.IDLE),
        (Work(has_partial_headers=True), Phase.HEADERS),
        (Work(has_partial_headers=True, is_answering=True), Phase.HEADERS),
        (Work(is_answering=True), Phase.ANSWERING),
        (Work(has_waiting=True), Phase.ANSWERING),
        (Work(has_partial_body=True, is_answering=True), Phase.BODY),
        (Work(is_answering=True, is_last_written=True), Phase.ANSWERING),
    ],
)
def test_what_is_waited_for(work: Work, phase: Phase):
    """Of a peer that still sends: what it has begun comes before what we owe."""
    assert decide(NEW, Event.STEP_DONE, work) == (State(phase), STEP)


def test_headers_behind_the_last_request_are_not_waited_for():
    """They are not read any more."""
    last = State(Phase.BODY, Reading.ENDED)

    state, _ = decide(last, Event.STEP_DONE, Work(has_partial_headers=True, is_answering=True))

    assert state == State(Phase.ANSWERING, Reading.ENDED)


def test_the_last_request():
    """It is answered, and the connection ends."""
    state, done = play(
        (Event.LAST_REQUEST_READ, Work(has_partial_body=True)),
        (Event.STEP_DONE, Work(is_answering=True)),
        (Event.STEP_DONE, Work(is_last_written=True)),
    )

    assert (state, done) == (CLOSED, [(), STEP, (*END, *CLOSE)])


def test_a_refused_request():
    """The peer gets to read why: it is listened to until it ends, or for a while."""
    state, done = play(
        (Event.REQUEST_REFUSED, Work(has_partial_body=True)),
        (Event.STEP_DONE, Work(is_last_written=True)),
    )
    assert state == State(Phase.LINGERING, Reading.REFUSED)
    assert done == [(), (*END, Command.END_WRITING)]

    assert play((Event.STEP_DONE, Work()), (Event.OVERDUE, Work()), state=state) == (CLOSED, [(), CLOSE])


@pytest.mark.parametrize("work", [Work(has_waiting=True), Work(has_partial_body=True)])
def test_the_end_with_requests_left(work: Work):
    """They are dropped, and the peer is listened to: else the kernel would take back the last response."""
    state, commands = decide(State(Phase.ANSWERING), Event.STEP_DONE, work._replace(is_last_written=True))

    assert (state.phase, commands) == (Phase.LINGERING, (*END, Command.END_WRITING))


def test_a_refusal_waits_for_the_answers_before_it():
    """Nothing ends before they are written."""
    refused = State(Phase.BODY, Reading.REFUSED)

    for work in (Work(has_waiting=True), Work(is_answering=True)):
        assert decide(refused, Event.STEP_DONE, work) == (State(Phase.ANSWERING, Reading.REFUSED), STEP)


@pytest.mark.parametrize(
    ("phase", "work", "commands"),
    [
        (Phase.HEADERS, Work(has_partial_headers=True), (Command.REFUSE_HEADERS,)),
        (Phase.BODY, Work(has_partial_body=True), (Command.REFUSE_BODY,)),
        (Phase.HEADERS, Work(), CLOSE),
        (Phase.IDLE, Work(), CLOSE),
        (Phase.LINGERING, Work(), CLOSE),
    ],
)
def test_what_is_overdue(phase: Phase, work: Work, commands: Commands):
    """A request that has begun is refused; whoever sends nothing is left without a word."""
    state, done = decide(State(phase), Event.OVERDUE, work)

    assert done == commands
    assert state == (CLOSED if commands == CLOSE else State(phase))


@pytest.mark.parametrize("phase", Phase)
def test_a_drain(phase: Phase):
    """It gives the next request a moment, from now on; what is under way goes on."""
    restarts = phase in (Phase.IDLE, Phase.HEADERS)

    assert decide(State(phase), Event.DRAIN_BEGAN, Work()) == (
        State(phase),
        (Command.RESTART_TIMER,) if restarts else (),
    )


@pytest.mark.parametrize(
    ("event", "commands"),
    [
        (Event.PEER_ENDED, (Command.WATCH_WRITING,)),
        (Event.CONNECTION_LOST, (Command.DROP_REQUESTS, Command.CANCEL_ANSWER)),
    ],
)
def test_a_peer_that_is_gone(event: Event, commands: Commands):
    """Whatever was under way; and nothing that comes later brings the connection back."""
    for phase, reading in itertools.product(Phase, Reading):
        assert decide(State(phase, reading), event, Work(is_answering=True)) == (CLOSED, commands)
    assert play((Event.STEP_DONE, Work(is_last_written=True)), state=CLOSED) == (CLOSED, [()])


def test_no_step_leads_back_from_the_end():
    """Over all states and all work: what is closing or lingering does nothing more at a step."""
    for phase, reading in itertools.product((Phase.CLOSING, Phase.LINGERING), Reading):
        for flags in itertools.product((False, True), repeat=len(Work._fields)):
            state = State(phase, reading)
            assert decide(state, Event.STEP_DONE, Work(*flags)) == (state, ())


def test_no_step_reads_again_what_it_had_ended():
    """Over all states and all work."""
    for phase, flags in itertools.product(Phase, itertools.product((False, True), repeat=len(Work._fields))):
        for reading in (Reading.ENDED, Reading.REFUSED):
            state, _ = decide(State(phase, reading), Event.STEP_DONE, Work(*flags))
            assert state.reading is not Reading.OPEN


@pytest.mark.parametrize(
    ("phase", "limit_s"),
    [
        (Phase.HEADERS, 5.0),
        (Phase.IDLE, 2.0),
        (Phase.BODY, 4.0),
        (Phase.LINGERING, 3.0),
        (Phase.CLOSING, None),
        (Phase.ANSWERING, None),
    ],
)
def test_limits(phase: Phase, limit_s: float | None):
    """Each wait has its own; responses of ours have none here."""
    assert not is_overdue(phase, limit_s or 1e6, 0, LIMITS, is_draining=False)
    assert is_overdue(phase, (limit_s or 1e6) + 0.01, 0, LIMITS, is_draining=False) is (limit_s is not None)


def test_a_body_is_measured_by_its_average():
    """Half of the first seconds are free."""
    assert not is_overdue(Phase.BODY, 12, 10 << 10, LIMITS, is_draining=False)
    assert is_overdue(Phase.BODY, 12, (10 << 10) - 1, LIMITS, is_draining=False)


@pytest.mark.parametrize(("phase", "limit_s"), [(Phase.HEADERS, 2.0), (Phase.IDLE, 1.0)])
def test_limits_of_a_drain(phase: Phase, limit_s: float):
    """It waits a little for headers, and less for a peer that sends nothing."""
    assert not is_overdue(phase, limit_s, 0, LIMITS, is_draining=True)
    assert is_overdue(phase, limit_s + 0.01, 0, LIMITS, is_draining=True)
