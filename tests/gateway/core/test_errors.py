"""Faults."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError, Why, masked, printable, without_folders


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


@pytest.mark.parametrize("field", GatewayError.__slots__)
def test_an_error_does_not_change_after_birth(field: str) -> None:
    """One error may be seen by many waiters: what one of them knows more is another error."""
    error = GatewayError(Fault.UNAVAILABLE, "down")

    with pytest.raises(AttributeError, match="does not change"):
        setattr(error, field, True)
    assert repr(error) == "GatewayError(unavailable, 'down')"


def test_python_may_still_note_where_an_error_passed() -> None:
    """Tracebacks, causes and notes are no fields."""
    error = GatewayError(Fault.UNAVAILABLE, "down")

    error.add_note("seen")
    error.__cause__ = ValueError("cause")

    assert error.__notes__ == ["seen"]
    assert str(error.with_traceback(None).__cause__) == "cause"


def test_another_error_has_what_is_known_more() -> None:
    """All fields but the named ones are those of the first, which stays as it was."""
    first = GatewayError(
        Fault.DEADLINE, "late", retryable=True, counts=True, retry_after_s=2.0, why=Why("timeout")
    )

    second = first.replaced(elsewhere=True, unsent=True, counts=False)

    assert {name: getattr(second, name) for name in GatewayError.__slots__} == {
        "fault": Fault.DEADLINE,
        "message": "late",
        "retryable": True,
        "counts": False,
        "retry_after_s": 2.0,
        "why": Why("timeout"),
        "unsent": True,
        "elsewhere": True,
        "member": "",
        "others": (),
    }
    assert str(second) == "late"
    assert (first.counts, first.elsewhere, first.unsent) == (True, False, False)


def test_strangers_text_is_cut_and_cleaned() -> None:
    """A terminal escape or a megabyte of name never reaches a log."""
    assert printable("a\r\nb\x1b[31m") == "a??b?[31m"
    assert printable("x" * 500, 5) == "xx..."
    assert printable("plain") == "plain"


def test_what_a_server_quotes_is_masked() -> None:
    """Values, names in quotes and addresses are somebody's; what went wrong is anybody's."""
    assert (
        masked("could not convert 'secret' to float at 10.0.0.7:8001") == "could not convert … to float at …"
    )
    assert masked('no such user "anna"') == "no such user …"
    assert masked("connection reset by peer") == "connection reset by peer"


def test_why_is_readable() -> None:
    """A circuit's reason in a client's error: words for what we saw, a status for what was answered."""
    assert str(Why("refused")) == "connection refused"
    assert str(Why("503", "backend 10.0.0.7 is gone", answered=True)) == "it answered 503: backend … is gone"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/models/digits/1/model.onnx: cannot be read", "model.onnx: cannot be read"),
        ('{"file":"/etc/edgeway/policy.yaml","n":1}', '{"file":"policy.yaml","n":1}'),
        ("of '/a/b.pem' and /c/d.key, both", "of 'b.pem' and d.key, both"),
        ("policy.yaml:3: /tmp/x/y.mmdb", "policy.yaml:3: y.mmdb"),
        ("http://127.0.0.1:4318/v1/traces is a URL", "http://127.0.0.1:4318/v1/traces is a URL"),
        ("1/2 of a/b, or /readyz", "1/2 of a/b, or /readyz"),
    ],
)
def test_folders_are_left_out(text: str, shown: str) -> None:
    """A name is enough for whoever knows the machine; addresses and plain slashes are no folders."""
    assert without_folders(text) == shown
