"""HTTP/1.1 from its client's side: which bytes are an answer, and which are refused."""

from __future__ import annotations

import gc
from contextlib import nullcontext
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.framing.errors import AnswerTooLargeError, FramingError
from gateway.http.framing.http1_client import (
    Http1Response,
    RequestHeadWriter,
    ResponseReader,
    spellings,
)


def reader(verb: str = "POST", head: int = 4096, body: int = 4096) -> ResponseReader:
    made = ResponseReader(max_head_bytes=head, max_body_bytes=body)
    made.begin(verb)
    return made


def read(*pieces: bytes, verb: str = "POST", ends: bool = False) -> Http1Response | None:
    taker, found = reader(verb), None
    for piece in pieces:
        found = (taker.feed(piece) if piece else None) or found
    return taker.end() if ends else found


def test_a_request_head():
    """What every request says is followed by what this one does; without a body there is no length."""
    head = RequestHeadWriter("far:8000", {"user-agent": "edgeway"})

    assert head.encode("POST", "/v2", {"x-a": "b"}, 3) == (
        b"POST /v2 HTTP/1.1\r\nHost: far:8000\r\nuser-agent: edgeway\r\nx-a: b\r\nContent-Length: 3\r\n\r\n"
    )
    assert head.encode("GET", "/v2", {}, None).endswith(b"user-agent: edgeway\r\n\r\n")
    assert repr(head) == "<RequestHead for far:8000>"


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\rb", "a\0b", "ü"])
def test_no_header_smuggles_another(value):
    """A value that would break the head is refused before anything is sent."""
    with pytest.raises(ValueError, match=r"line break|ascii"):
        RequestHeadWriter("far", {}).encode("GET", "/", {"x-a": value}, None)


@pytest.mark.parametrize(
    ("sent", "status", "body", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, b"abc", True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\nX-T: 1\r\n\r\n",
            200,
            b"abc",
            True,
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            b"",
            True,
        ),
        (b"HTTP/1.1 204 No\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 No\r\nContent-Length: 999999\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", 200, b"a", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, b"a", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na", 200, b"a", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n", 200, b"a", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na garbage", 200, b"a", False),
    ],
)
def test_answers(sent, status, body, reusable):
    """Lengths, chunks, interim answers and those without a body; whatever follows spoils the connection."""
    found = read(sent)

    assert found is not None
    assert (found.status, found.body, found.reusable) == (status, body, reusable)


def test_expected_names():
    """They are found without decoding, in the two usual spellings; any other spelling means the same."""
    names = spellings(["x-some-name"])
    made = ResponseReader(max_head_bytes=4096, max_body_bytes=4096, names=names)

    assert names == {b"x-some-name": "x-some-name", b"X-Some-Name": "x-some-name"}
    for spelling in (*names, b"X-SOME-NAME"):
        made.begin("POST")
        found = made.feed(b"HTTP/1.1 200 OK\r\n%b: a\r\nContent-Length: 0\r\n\r\n" % spelling)
        assert found is not None
        assert found.headers == {"x-some-name": "a", "content-length": "0"}


def test_an_answer_to_head_has_no_body():
    """Its length tells of a body that is not sent."""
    found = read(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", verb="HEAD")

    assert found is not None
    assert (found.body, found.reusable) == (b"", False)


def test_an_answer_that_ends_with_its_connection():
    """Without a length the body is what comes until the end."""
    found = read(b"HTTP/1.1 200 OK\r\n\r\nab", b"c", ends=True)

    assert found is not None
    assert (found.body, found.reusable) == (b"abc", False)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_half_an_answer(sent):
    """The end of the connection ends no answer that says how long it is."""
    with pytest.raises(FramingError, match="ended before"):
        read(sent, ends=True)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\nx",
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x0c\x04\x00\x00\x00\x00\x00",
        b"SSH-2.0-x\r\n",
    ],
)
def test_what_is_no_answer(sent):
    """Framing that two readers could read differently is nobody's answer."""
    with pytest.raises(FramingError):
        read(sent)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 5000,
        b"HTTP/1.1 200 " + b"a" * 5000,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 2000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 9000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 4000 + b"\r\na\r\n" + b"1;" * 999,
    ],
    ids=["value", "reason", "many", "trailers", "extension", "extensions"],
)
@pytest.mark.parametrize("step", [100, 1 << 20])
def test_heads_and_framing_are_bounded(sent, step):
    """However it is cut, an endless head, trailer or chunk extension is refused early."""
    taker = reader()

    with pytest.raises(FramingError):
        for start in range(0, len(sent), step):
            taker.feed(sent[start : start + step])


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 4096, b"a"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n" + b"a" * 4097],
    ],
    ids=["declared", "absurd", "until the end", "chunked"],
)
def test_bodies_are_bounded(pieces):
    """A body larger than agreed is refused when it is declared, else where it passes the limit."""
    with pytest.raises(AnswerTooLargeError):
        read(*pieces)


@pytest.mark.parametrize(
    ("chunk", "is_refused"), [(b"1\r\nx\r\n", True), (b"10\r\n" + b"x" * 16 + b"\r\n", False)]
)
def test_chunks_are_not_too_many(chunk, is_refused):
    """Each costs the processor as much as a kilobyte: 60,000 small ones are somebody's habit, 70,000 an attack."""
    taker = ResponseReader(max_head_bytes=4096, max_body_bytes=1 << 24)
    taker.begin("GET")
    taker.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 60_000)

    with pytest.raises(FramingError, match="too many small chunks") if is_refused else nullcontext():
        taker.feed(chunk * 10_000)


def test_bytes_that_nobody_asked_for():
    """An idle connection has nothing to say."""
    taker = reader()
    taker.feed(b"HTTP/1.1 204 No\r\n\r\n")

    with pytest.raises(FramingError, match="nobody asked"):
        taker.feed(b"HTTP/1.1 204 No\r\n\r\n")
    assert repr(taker) == "<ResponseReader idle, 19 bytes in, 0 of body>"


def test_one_reader_reads_many_answers():
    """Nothing of one answer is left in the next; of a header given twice the first counts."""
    taker = reader()
    first = taker.feed(b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 1\r\n\r\nx")
    assert not (first is None or taker.started is False)
    taker.begin("GET")
    assert not taker.started
    second = taker.feed(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    assert first.headers == {"a": "1", "content-length": "1"}
    assert second == Http1Response(404, {"content-length": "0"}, b"", reusable=True)


WHOLE = [
    b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello garbage",
]


@given(st.sampled_from(WHOLE), st.lists(st.integers(0, 100), max_size=12))
def test_where_the_bytes_are_cut_changes_nothing(sent, cuts):
    """An answer is the same in one piece and in many."""
    edges = sorted({0, len(sent), *(min(cut, len(sent)) for cut in cuts)})
    taker, found = reader(), None
    for start, stop in pairwise(edges):
        if found is None:
            found = taker.feed(sent[start:stop])

    assert found is not None
    assert (found.status, found.body) == (200, b"hello")


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_break_the_reader(noise, step):
    """Whatever comes is an answer, is not yet one, or is refused."""
    taker = reader()
    sent = b"HTTP/1.1 200 OK\r\n" + noise
    try:
        for start in range(0, len(sent), step):
            if taker.feed(sent[start : start + step]):
                break
    except FramingError:
        pass
    assert taker.started


def test_an_answer_is_kept_by_nobody_but_who_took_it():
    """A connection to central may rest for minutes; what came on it may not be kept in every region."""
    taker = reader()
    answer = taker.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")

    assert answer is not None
    assert [each for each in gc.get_referrers(answer) if isinstance(each, ResponseReader | dict)] == []
