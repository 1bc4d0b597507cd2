"""Faults."""

from __future__ import annotations

from gateway.core.errors import Fault, GatewayError, printable


def test_flags_are_shown() -> None:
    """A log line tells what retry and breaker will make of it."""
    error = GatewayError(Fault.UNAVAILABLE, "down", retryable=True, counts=True)

    assert repr(error) == "GatewayError(unavailable, 'down', retryable, counts)"
    assert str(error) == "down"


def test_flags_are_off_unless_said() -> None:
    """Nothing is repeated or held against anybody by accident."""
    error = GatewayError(Fault.INVALID, "bad")

    assert (error.retryable, error.counts, error.retry_after_s) == (False, False, None)
    assert repr(error) == "GatewayError(invalid, 'bad')"


def test_strangers_text_is_cut_and_cleaned() -> None:
    """A terminal escape or a megabyte of name never reaches a log."""
    assert printable("a\r\nb\x1b[31m") == "a??b?[31m"
    assert printable("x" * 500, 5) == "xx..."
    assert printable("plain") == "plain"
