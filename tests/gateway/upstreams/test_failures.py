"""What an endpoint's failures are called, and what they mean."""

from __future__ import annotations

import errno
import socket
import ssl

import msgspec
import pytest

from gateway.core.errors import Fault, Why
from gateway.http.client.http2_connection import LostError
from gateway.http.framing.errors import FramingError
from gateway.upstreams.failures import Failures

FAILURES = Failures("far")


@pytest.mark.parametrize(
    ("fault", "words", "retryable", "counts"),
    [
        (Fault.UNAVAILABLE, "endpoint 'far' is unavailable: … says no", True, True),
        (Fault.DEADLINE, "endpoint 'far' did not answer in time: … says no", True, True),
        (Fault.OVERLOADED, "endpoint 'far' is overloaded: … says no", True, False),
        (Fault.INTERNAL, "endpoint 'far' failed: … says no", False, True),
        (Fault.INVALID, "10.0.0.7 says no", False, False),
    ],
)
def test_words_and_flags(fault, words, retryable, counts):
    """Words about the client's own request are passed on, others masked; flags follow from the fault."""
    error = FAILURES.of(fault, "10.0.0.7 says no", status="503")

    assert (error.message, error.retryable, error.counts) == (words, retryable, counts)
    if counts:
        of_model = fault is Fault.INTERNAL
        assert error.why == Why("503", "10.0.0.7 says no", answered=True, of_model=of_model)


@pytest.mark.parametrize(
    ("fault", "status", "is_of_input"),
    [
        (Fault.INVALID, "400", True),
        (Fault.INVALID, "422", True),
        (Fault.INVALID, "INVALID_ARGUMENT", True),
        (Fault.INVALID, "OUT_OF_RANGE", True),
        (Fault.INVALID, "402", False),
        (Fault.INVALID, "FAILED_PRECONDITION", False),
        (Fault.NOT_FOUND, "404", False),
        (Fault.TOO_LARGE, "413", False),
        (Fault.INTERNAL, "500", False),
    ],
)
def test_what_an_endpoint_says_of_the_inputs(fault, status, is_of_input):
    """Only its own word for it: what else is the caller's mistake may be none the next time."""
    why = FAILURES.of(fault, "no", status=status).why

    assert (why is not None and why.of_input) is is_of_input


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (ConnectionRefusedError(), "refused"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "reset"),
        (ssl.SSLCertVerificationError("no"), "tls"),
        (socket.gaierror(socket.EAI_NONAME, "no"), "unresolved"),
        (OSError(errno.EHOSTUNREACH, "no"), "unreachable"),
        (OSError("the name has no address"), "unresolved"),
        (FramingError("no"), "protocol"),
        (LostError(), "reset"),
        (LostError("timeout"), "timeout"),
        (None, "reset"),
    ],
    ids=repr,
)
def test_no_answer_says_why_and_counts(cause, reason):
    """Every way in which a connection fails has one word."""
    error = FAILURES.lost(cause)

    assert (error.fault, error.retryable, error.counts) == (Fault.UNAVAILABLE, True, True)
    assert error.why is not None
    assert msgspec.structs.replace(error.why, detail="") == Why(reason)


@pytest.mark.parametrize(
    "cause", [OSError(number, "no") for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS)], ids=repr
)
def test_what_we_lack_does_not_count(cause):
    """Trying again would need it, too."""
    error = FAILURES.lost(cause)

    assert (error.fault, error.retryable, error.counts) == (Fault.OVERLOADED, False, False)


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
