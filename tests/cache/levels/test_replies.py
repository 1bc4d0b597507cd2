"""Replies of Redis, read within bounds."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.levels.replies import (
    INCOMPLETE,
    LINE_BYTES,
    Kind,
    ProtocolError,
    Reply,
    ReplyError,
    ReplyReader,
    pack,
)

MAX_BULK_BYTES = 1000

LIES = {
    "array": b"*2147483647\r\n",
    "array beyond 32 bits": b"*4294967295\r\n",
    "empty array": b"*0\r\n",
    "nested": b"*1\r\n" * 1_000_000,
    "map": b"%2147483647\r\n",
    "set": b"~2147483647\r\n",
    "push": b">2\r\n$10\r\ninvalidate\r\n*0\r\n" * 1000,
    "attribute": b"|1\r\n+a\r\n+b\r\n$1\r\nx\r\n",
    "verbatim": b"=15\r\ntxt:Some string\r\n",
    "big number": b"(" + b"9" * 100_000 + b"\r\n",
    "double": b",1.5\r\n",
    "boolean": b"#t\r\n",
    "null of RESP3": b"_\r\n",
    "streamed": b"$?\r\n;4\r\nabcd\r\n;0\r\n",
    "bulk of 512 MiB": b"$536870912\r\n" + b"x" * 1000,
    "bulk of 2^63-1": b"$9223372036854775807\r\nxx",
    "bulk of 40 digits": b"$" + b"9" * 40 + b"\r\n",
    "bulk of -2": b"$-2\r\n",
    "bulk of no number": b"$x\r\n",
    "bulk of a signed number": b"$+1\r\nx\r\n",
    "bulk of an underscored number": b"$1_0\r\n0123456789\r\n",
    "bulk of another script's digits": "$٣\r\nabc\r\n".encode(),
    "bulk one byte too long": b"$1001\r\n" + bytes(1001) + b"\r\n",
    "bulk longer than announced": b"$1\r\nabc\r\n",
    "wrong type": b":1\r\n",
    "status": b"+OK\r\n",
    "error of 8 MiB": b"-ERR " + b"x" * (8 << 20) + b"\r\n",
    "status without an end": b"+" + b"x" * (8 << 20),
    "line of bare line feeds": b"$1\n" * 5000,
    "empty line": b"\r\n",
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


def read(data: bytes, kinds: Sequence[Kind], chunk: int) -> tuple[list[Reply], str]:
    """Feed ``data`` in chunks; return the replies, as texts where they are errors, and what ended it."""
    reader, replies, pending = ReplyReader(MAX_BULK_BYTES), [], list(kinds)
    try:
        for start in range(0, len(data), chunk):
            reader.feed(data[start : start + chunk])
            while pending and (reply := reader.next(pending[0])) is not INCOMPLETE:
                del pending[0]
                replies.append(str(reply).encode() if isinstance(reply, ReplyError) else reply)
    except ProtocolError:
        return replies, "lie"
    return replies, "complete" if not pending else "incomplete"


@pytest.mark.parametrize(
    ("kind", "data", "reply"),
    [
        (Kind.STATUS, b"+OK\r\n", b"OK"),
        (Kind.STATUS, b"+\r\n", b""),
        (Kind.INTEGER, b":0\r\n", 0),
        (Kind.INTEGER, b":-9223372036854775808\r\n", -(2**63)),
        (Kind.BULK, b"$0\r\n\r\n", b""),
        (Kind.BULK, b"$-1\r\n", None),
        (Kind.BULK, b"$5\r\na\r\nb\n\r\n", b"a\r\nb\n"),
        (Kind.BULK, b"$1000\r\n" + bytes(1000) + b"\r\n", bytes(1000)),
        (Kind.BULK, b"-ERR no\r\n", b"ERR no"),
        (Kind.BULK, b"-" + b"x" * (LINE_BYTES - 3) + b"\r\n", b"x" * (LINE_BYTES - 3)),
    ],
)
@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
def test_what_our_commands_get_is_read(kind: Kind, data: bytes, reply: Reply, chunk: int) -> None:
    """Every kind, at its bounds, whole or byte by byte."""
    assert read(data, [kind], chunk) == ([reply], "complete")


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("chunk", [7, 65_536])
def test_a_lie_is_refused(lie: bytes, chunk: int) -> None:
    """Whatever a string cannot be is refused, and never after more than a line or the largest string."""
    bound = max(MAX_BULK_BYTES, LINE_BYTES) + chunk + 100

    assert read(lie[:bound], [Kind.BULK], chunk) == ([], "lie")


@pytest.mark.parametrize("digits", [b"", b"-", b"--1", b" 1", b"1_0", b"0x1", b"1" * 20, b"9" * 4000])
def test_a_number_is_a_number_of_64_bits(digits: bytes) -> None:
    """Python would take spaces, underscores and any number of digits, which take time."""
    assert read(b":" + digits + b"\r\n", [Kind.INTEGER], 1 << 20) == ([], "lie")


def test_what_a_lie_announces_is_never_held() -> None:
    """A length announces memory that nobody takes: the reader holds what came and no more."""
    reader = ReplyReader(512 << 20)
    reader.feed(b"$536870911\r\n")

    assert reader.next(Kind.BULK) is INCOMPLETE
    assert repr(reader) == "<ReplyReader 0 bytes unread>"
    assert sys.getsizeof(reader) < 1000


def test_an_error_has_its_code() -> None:
    """The first word; bytes that are no text do no harm."""
    reader = ReplyReader(MAX_BULK_BYTES)
    reader.feed(b"-READONLY You can't write \xff\x1b[31m\r\n")

    reply = reader.next(Kind.STATUS)

    assert isinstance(reply, ReplyError)
    assert reply.code == "READONLY"


def test_what_is_left_over_shows() -> None:
    """Whoever has all replies sees whether there is more, of a reply begun too."""
    reader = ReplyReader(MAX_BULK_BYTES)
    assert reader.is_empty
    reader.feed(b"+a\r\n+b\r\n")
    assert reader.next(Kind.STATUS) == b"a"
    assert not reader.is_empty
    assert reader.next(Kind.STATUS) == b"b"
    assert reader.is_empty
    reader.feed(b"$3\r\n")
    assert reader.next(Kind.BULK) is INCOMPLETE
    assert not reader.is_empty


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [b"+OK\r\n", b":7\r\n", b"$3\r\nabc\r\n", b"$-1\r\n", b"-ERR\r\n", b"$", b"*1\r\n"]
            ),
            st.binary(max_size=20),
        ),
        max_size=12,
    ),
    st.lists(st.sampled_from(Kind), max_size=8),
    st.integers(1, 9),
)
def test_how_it_comes_in_changes_nothing(parts: list[bytes], kinds: list[Kind], chunk: int) -> None:
    """Any bytes in any pieces give the same replies and the same end as in one piece."""
    data = b"".join(parts)

    assert read(data, kinds, chunk) == read(data, kinds, len(data) or 1)


def test_commands_are_packed() -> None:
    """Words are bytes, texts or numbers, each with its length in bytes."""
    packed = b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xa4\r\n$3\r\n\x00\r\n\r\n$2\r\n12\r\n"
    assert pack("SET", "ä", b"\0\r\n", 12) == packed


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (
            b"READONLY You can't write against a read only replica. script: f_1, on @user_script:4.",
            "READONLY",
        ),
        (
            b"ERR Error running script (call to f_1): @user_script:4: @user_script: 4: -READONLY You can't write",
            "READONLY",
        ),
        (b"ERR Error running script (call to f_1): @user_script:1: nonsense", "ERR"),
    ],
)
def test_what_a_script_met_is_the_code_in_old_versions_too(line: bytes, code: str) -> None:
    assert ReplyError(line).code == code
