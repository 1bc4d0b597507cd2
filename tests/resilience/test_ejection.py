"""Ejection: the states of one endpoint, or of one model at it."""

from __future__ import annotations

from random import Random

from gateway.core.errors import Why
from gateway.core.telemetry import BreakerChanged
from resilience.ejection import Ejection
from resilience.settings import BreakerSettings
from tests.fakes.telemetry import RecordingTelemetry

REFUSED, RESET = Why("refused"), Why("reset")


class Opened:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def ejection(telemetry: RecordingTelemetry, **changes) -> Ejection:
    settings = BreakerSettings(consecutive_5xx=3, base_ejection_time_s=1.0)
    return Ejection("central", settings, Random(1), telemetry, **changes)


def fail(subject: Ejection, times: int = 3, why: Why = REFUSED) -> None:
    for _ in range(times):
        subject.failed(subject.ticket, why)


def test_from_closed_to_closed(telemetry: RecordingTelemetry) -> None:
    """Failures open it, a health check lets everybody in, a success closes it."""
    opened = Opened()
    subject = ejection(telemetry, opened=opened)
    fail(subject)
    assert (subject.state, subject.why, opened.count, subject.admits) == ("open", REFUSED, 1, False)
    assert repr(subject) == "<Ejection central open, refused, 0 checks failed>"
    assert subject.admit() is None

    subject.let_in()
    ticket = subject.admit()
    assert (subject.state, subject.admits, subject.is_closed) == ("half_open", True, False)
    assert ticket is not None
    subject.succeeded(ticket)

    assert (subject.is_closed, subject.why) == (True, None)
    assert telemetry.of(BreakerChanged) == [
        BreakerChanged("central", "open", "refused"),
        BreakerChanged("central", "half_open", "refused"),
        BreakerChanged("central", "closed"),
    ]


def test_a_failure_after_a_health_check_opens_it_again(telemetry: RecordingTelemetry) -> None:
    """One is enough, and the wait is longer: the check knows nothing of what fails."""
    subject = ejection(telemetry)
    fail(subject)
    first = [subject.wait_s() for _ in range(100)]
    subject.let_in()
    fail(subject, 1, RESET)
    second = [subject.wait_s() for _ in range(100)]

    assert (subject.state, subject.why) == ("open", RESET)
    assert (min(first) >= 0.4, max(first) <= 1.0) == (True, True)
    assert (min(second) >= 0.8, max(second) <= 2.0, max(second) > 1.0) == (True, True, True)


def test_waits_double_with_each_check_that_fails(telemetry: RecordingTelemetry) -> None:
    """Up to the longest."""
    subject = ejection(telemetry)
    fail(subject)
    for doublings in range(40):
        longest = min(2.0**doublings, 30.0)
        assert 0.4 * longest <= subject.wait_s() <= longest
        subject.stays_out(RESET, offers_trial=False)

    assert subject.why == RESET


def test_late_calls_change_nothing(telemetry: RecordingTelemetry) -> None:
    """They were admitted in another spell."""
    subject = ejection(telemetry)
    old = subject.ticket
    fail(subject)
    subject.succeeded(old)
    subject.left(old)
    assert subject.is_open

    subject.let_in()
    subject.failed(old, RESET)
    subject.succeeded(old)
    assert subject.state == "half_open"


def test_a_trial_that_succeeds_closes_it(telemetry: RecordingTelemetry) -> None:
    """It is the best evidence that there is."""
    subject = ejection(telemetry)
    fail(subject)
    subject.stays_out(Why("not_ready", answered=True), offers_trial=True)
    trial = subject.admit()
    assert trial is not None
    assert subject.admit() is None

    subject.succeeded(trial)

    assert subject.is_closed


def test_a_trial_that_fails_waits_for_the_next_check(telemetry: RecordingTelemetry) -> None:
    """One request for each check."""
    subject = ejection(telemetry)
    fail(subject)
    subject.stays_out(Why("not_ready", answered=True), offers_trial=True)
    trial = subject.admit()
    assert trial is not None

    subject.failed(trial, RESET)

    assert (subject.is_open, subject.admits, subject.why) == (True, False, RESET)


def test_what_something_else_takes_the_place_of_is_spared(telemetry: RecordingTelemetry) -> None:
    """Asked with the last straw, and only while it is closed; calls under way count no more."""
    spared = [True, False]
    subject = ejection(telemetry, is_spared=lambda: spared.pop(0))
    old = subject.ticket
    fail(subject)
    assert repr(subject) == "<Ejection central closed, 0 of 3 failures>"

    for _ in range(5):
        subject.failed(old, REFUSED)
    assert subject.is_closed
    fail(subject)

    assert (subject.is_open, spared) == (True, [])


def test_of_a_model_it_says_so(telemetry: RecordingTelemetry) -> None:
    """In its name, its events and its log."""
    subject = ejection(telemetry, model="digits")
    subject.trip(RESET)
    subject.trip(REFUSED)
    subject.let_in()
    subject.let_in()
    subject.stays_out(REFUSED, offers_trial=True)

    assert repr(subject) == "<Ejection central/digits half_open, reset, 0 checks failed>"
    assert telemetry.of(BreakerChanged)[0] == BreakerChanged("central", "open", "reset", "digits")
