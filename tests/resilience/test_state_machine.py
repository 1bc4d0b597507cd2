"""The states that both breakers share."""

from __future__ import annotations

from resilience.state_machine import CLOSED, HALF_OPEN, OPEN, StateMachine, Ticket, Trial


def machine(fail_max: int = 3) -> tuple[StateMachine, list[tuple[str, str]]]:
    changes: list[tuple[str, str]] = []
    return StateMachine("far", fail_max, lambda before, now: changes.append((before, now))), changes


def test_failures_in_a_row_open_it() -> None:
    """A success in between begins the count anew."""
    made, changes = machine()
    made.fail()
    made.fail()
    assert (made.state, made.failures, made.fail_max) == (CLOSED, 2, 3)

    made.succeed()
    made.fail()
    made.fail()
    assert repr(made) == "<StateMachine closed, 2 of 3 failures>"
    made.fail()

    assert made.state == OPEN
    assert changes == [(CLOSED, OPEN)]


def test_half_open_one_call_decides() -> None:
    """A success closes it, a failure opens it again, and each change is heard with where it came from."""
    made, changes = machine()
    made.open()
    made.half_open()
    made.fail()
    made.half_open()
    made.succeed()

    assert (made.state, made.failures) == (CLOSED, 0)
    assert changes == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
    ]


def test_one_call_is_on_trial_and_ends_it_once() -> None:
    """Another call's end says nothing about it."""
    trial, ticket = Trial(), Ticket()
    trial.begin(ticket)
    assert (trial.is_under_way, repr(trial)) == (True, "<Trial under way>")

    assert not trial.ends(Ticket())
    assert trial.ends(ticket)
    assert not trial.ends(ticket)
    assert repr(trial) == "<Trial free>"


def test_a_trial_whose_ticket_is_dropped_is_over() -> None:
    """A call that ended without a report holds nobody up; nor does one that is forgotten."""
    trial, ticket = Trial(), Ticket()
    trial.begin(ticket)
    del ticket
    assert not trial.is_under_way

    kept = Ticket()
    trial.begin(kept)
    trial.forget()
    assert not trial.ends(kept)
