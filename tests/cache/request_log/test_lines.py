"""Lines of the request log."""

from __future__ import annotations

import io

import pytest

from cache.request_log.lines import MOST_BYTES, LoggedLookup, read_lines


def test_a_line_needs_a_key_and_a_size() -> None:
    """All else has a meaning when it is not there; fields of a later version mean nothing."""
    text = b'{"key": "a", "size": 10}\n\n{"key": "b", "size": 0, "time": 5, "ttl_s": 2.5, "colour": "red"}'
    first, second = read_lines(io.BytesIO(text))
    assert (first.number, first.lookup) == (1, LoggedLookup("a", 10))
    assert (second.number, second.lookup) == (3, LoggedLookup("b", 0, time=5, ttl_s=2.5))
    assert first.bytes + 1 + second.bytes == len(text)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"nothing", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 10_000, ""),
        (b'{"key": "a"}', "`size`"),
        (b'{"key": "", "size": 1}', "`key` is empty"),
        (b'{"key": "a", "size": -1}', "below 0"),
        (b'{"key": "a", "size": 1, "sample": 0}', "`sample`"),
        (b'{"key": "a", "size": 1, "ttl_s": -1}', "`ttl_s`"),
        (b'{"key": "a", "size": 1, "time": 1e999}', ""),
        (b'{"model": "m", "request": {"inputs": []}}', "cache warm"),
        (b"x" * MOST_BYTES, "longer than 64 KiB"),
    ],
)
def test_a_line_that_is_none_is_named_and_the_next_is_read(line: bytes, problem: str) -> None:
    """By its number, with the reason."""
    found = list(read_lines(io.BytesIO(line + b'\n{"key": "a", "size": 1}\n')))
    assert [each.number for each in found] == [1, 2]
    assert found[0].lookup is None
    assert problem in found[0].problem
    assert found[0].problem
    assert found[1].lookup == LoggedLookup("a", 1)
    assert found[0].bytes == len(line) + 1


def test_a_line_without_an_end_takes_no_memory() -> None:
    """It is passed over in pieces, as far as the file goes."""
    (found,) = read_lines(io.BytesIO(b"x" * (3 * MOST_BYTES + 5)))
    assert "longer" in found.problem
    assert found.bytes == 3 * MOST_BYTES + 5
