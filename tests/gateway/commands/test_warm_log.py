"""Recorded requests."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands import warm_log
from gateway.commands.warm_log import read_lines

LINE = b'{"model": "digits", "request": {"inputs": [9007199254740993]}}\n'


def test_lines_are_numbered() -> None:
    """Empty ones as well, though nothing is to be sent for them; an end without a line end is one."""
    found = list(read_lines(io.BytesIO(LINE + b"\n" + LINE.strip())))

    assert [line.number for line in found] == [1, 3]
    for line in found:
        assert line.recorded is not None
        assert bytes(line.recorded.request) == b'{"inputs": [9007199254740993]}'


def test_it_goes_on_from_a_line() -> None:
    """What is before it is not even read as JSON."""
    found = list(read_lines(io.BytesIO(b"{\n" + LINE * 3), first=3))

    assert [(line.number, line.problem) for line in found] == [(3, ""), (4, "")]


def test_what_else_was_recorded_means_nothing() -> None:
    line = json.dumps(
        {
            "model": "m",
            "version": "2",
            "tenant": "acme",
            "headers": {"a": "b"},
            "request": {},
            "answer": {"took_ms": 3},
        }
    )
    [found] = read_lines(io.BytesIO(line.encode()))

    assert found.recorded is not None
    assert (found.recorded.version, found.recorded.tenant, found.recorded.headers) == (
        *("2", "acme", {"a": "b"}),
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "truncated"),
        (b"[]", "object"),
        (b'{"model": "m"}', "request"),
        (b'{"request": {}}', "model"),
        (b'{"model": "", "request": {}}', "empty"),
        (b'{"model": "m", "tenant": 3, "request": {}}', "tenant"),
        (b'{"model": "m", "request": ' + b"[" * 100_000, ""),
        (b"\xff\xfe", ""),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else None,
)
def test_a_bad_line_harms_no_other(line: bytes, problem: str) -> None:
    """What is wrong with it is told."""
    bad, good = read_lines(io.BytesIO(line + b"\n" + LINE))

    assert bad.recorded is None and bad.problem and problem in bad.problem
    assert good.recorded is not None


def test_a_line_without_an_end_is_not_held(monkeypatch) -> None:
    """It is passed over in pieces, and counts as one line; one that just fits is taken."""
    monkeypatch.setattr(warm_log, "MOST_BYTES", len(LINE))
    endless = b"x" * (5 * len(LINE) + 3)

    first, bad, last = read_lines(io.BytesIO(LINE + endless + b"\n" + LINE))

    assert (first.problem, last.problem, bad.number) == ("", "", 2)
    assert "longer than" in bad.problem
    assert [line.number for line in read_lines(io.BytesIO(endless + b"\n" + LINE), first=2)] == [2]


@given(st.lists(st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b""))))
def test_whatever_stands_there(lines: list[bytes]) -> None:
    """Every line that is not empty is dealt with, in order."""
    found = list(read_lines(io.BytesIO(b"".join(line + b"\n" for line in lines))))

    assert [line.number for line in found] == [n for n, line in enumerate(lines, 1) if line.strip()]
