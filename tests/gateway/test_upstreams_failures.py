"""What an endpoint's failures are called, and what they mean."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault
from gateway.upstreams.failures import Failures

FAILURES = Failures("far")


@pytest.mark.parametrize(
    ("fault", "words", "retryable", "counts"),
    [
        (Fault.UNAVAILABLE, "endpoint 'far' is unavailable", True, True),
        (Fault.DEADLINE, "endpoint 'far' did not answer in time", True, True),
        (Fault.OVERLOADED, "endpoint 'far' is overloaded", True, False),
        (Fault.INTERNAL, "endpoint 'far' failed", False, True),
        (Fault.INVALID, "10.0.0.7 says no", False, False),
    ],
)
def test_words_and_flags(fault, words, retryable, counts):
    """Only words about the client's own request are passed on; flags follow from the fault."""
    error = FAILURES.of(fault, "10.0.0.7 says no")

    assert (error.message, error.retryable, error.counts) == (words, retryable, counts)


def test_failures_that_are_nobodys_fault():
    """Neither our own closing nor the request's own deadline counts against the endpoint."""
    closed, late = FAILURES.closed(), FAILURES.late()

    assert (closed.fault, closed.retryable, closed.counts) == (Fault.UNAVAILABLE, True, False)
    assert (late.fault, late.retryable, late.counts) == (Fault.DEADLINE, False, False)
    assert FAILURES.of(Fault.NOT_FOUND).message == "endpoint 'far' refused the request"


def test_a_broken_answer_counts():
    """Who breaks the protocol may be broken in other ways; another endpoint may answer."""
    error = FAILURES.broken()

    assert (error.fault, error.retryable, error.counts) == (Fault.UNAVAILABLE, True, True)
    assert repr(FAILURES) == "<Failures of far>"
