"""HTTP/2 from its client's side: how streams end, and what no peer can make us do."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import ngh2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.framing.errors import FramingError
from gateway.http.framing.http2_client import (
    REFUSED,
    AnswerRefused,
    AnswerTooLarge,
    ClosingError,
    Http2Client,
    Http2Response,
    StreamReset,
)

ASK = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"x")]
OK = [(b":status", b"200")]


class Pair:
    """A client and a server, and all bytes between them."""

    def __init__(self, *, max_body_bytes: int = 1 << 20, max_table: int = 4096, **settings: int) -> None:
        self.client = Http2Client(
            stream_window_bytes=1 << 20,
            connection_window_bytes=1 << 22,
            max_header_bytes=4096,
            max_body_bytes=max_body_bytes,
            texts={b"grpc-message"},
        )
        self.server = ngh2.Connection(
            ngh2.Role.SERVER, ngh2.Configuration(max_deflate_dynamic_table_size=max_table)
        )
        self.server.initiate_connection({ngh2.Setting[name]: value for name, value in settings.items()})
        self.events: list[Any] = []
        self.ended: list[Any] = []
        self.talk()

    def talk(self) -> None:
        while True:
            if received := self.client.output(1 << 16):
                self.server.receive_data(received)
                self.events += self.server.events()
            if answered := self.server.data_to_send():
                self.ended += self.client.feed(answered)
            self.ended += self.client.feed(b"")
            if not received and not answered:
                return

    def ask(self, body: bytes = b"hi") -> int:
        stream = self.client.request(ASK, (body,))
        self.talk()
        return stream

    def of(self, kind: Any) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def test_an_answer_with_trailers():
    """Of a name given twice the first counts; interim answers are nobody's."""
    pair = Pair(MAX_CONCURRENT_STREAMS=7)
    stream = pair.ask(b"x" * 200_000)
    pair.server.send_informational_response(stream, [(b":status", b"103")])
    pair.server.send_response(stream, [*OK, (b"a", b"1"), (b"a", b"2")])
    pair.server.send_data(stream, b"y" * 100_000)
    pair.server.send_trailers(stream, [(b"t", b"u")])
    pair.talk()

    ((number, answer),) = pair.ended
    assert number == stream
    assert answer == Http2Response(200, {b":status": b"200", b"a": b"1"}, b"y" * 100_000, {b"t": b"u"})
    assert sum(len(event.data) for event in pair.of(ngh2.DataReceived)) == 200_000
    assert repr(pair.client) == "<Http2Client ready, 0 of 7 streams>"


def test_answers_without_trailers_and_without_body():
    """Headers alone are an answer; so is a body that ends it."""
    pair = Pair()
    first, second = pair.ask(), pair.ask()
    pair.server.send_response(first, OK, end_stream=True)
    pair.server.send_response(second, OK)
    pair.server.send_data(second, b"abc", end_stream=True)
    pair.talk()

    assert [(number, answer.body, answer.trailers) for number, answer in pair.ended] == [
        (first, b"", {}),
        (second, b"abc", {}),
    ]


def test_a_cancelled_stream_is_reset_and_forgotten():
    """What still comes for it is dropped."""
    pair = Pair()
    stream = pair.ask()
    pair.client.cancel(stream)
    pair.client.cancel(stream)
    pair.server.send_response(stream, OK)
    pair.server.send_data(stream, b"late")
    pair.talk()

    assert [(event.stream_id, event.error_code) for event in pair.of(ngh2.StreamReset)] == [(stream, 8)]
    assert pair.ended == []
    assert pair.client.running == 0


def test_a_reset_by_the_peer():
    """It ends that stream only."""
    pair = Pair()
    first, second = pair.ask(), pair.ask()
    pair.server.reset_stream(first, 2)
    pair.talk()
    pair.server.send_response(second, OK, end_stream=True)
    pair.talk()

    assert pair.ended[0] == (first, StreamReset(2))
    assert isinstance(pair.ended[1][1], Http2Response)


def test_going_away():
    """Streams above the last that is named were not processed; the others end as they do."""
    pair = Pair()
    first, second = pair.ask(), pair.ask()
    pair.server.send_goaway(0, last_stream_id=first)
    pair.talk()
    with pytest.raises(ClosingError):
        pair.client.request(ASK, (b"",))
    pair.server.send_response(first, OK, end_stream=True)
    pair.talk()

    assert pair.ended[0] == (second, StreamReset(REFUSED))
    assert (pair.ended[1][0], pair.ended[1][1].status) == (first, 200)
    assert (pair.client.is_closing, pair.client.goaway_code) == (True, 0)
    assert repr(pair.client).startswith("<Http2Client closing")


def test_bodies_are_bounded():
    """A body larger than agreed ends its stream and no other."""
    pair = Pair(max_body_bytes=1000)
    first, second = pair.ask(), pair.ask()
    for stream in (first, second):
        pair.server.send_response(stream, OK)
    pair.server.send_data(first, b"x" * 1001)
    pair.server.send_data(second, b"x" * 1000, end_stream=True)
    pair.talk()

    assert pair.ended[0] == (first, AnswerTooLarge())
    assert len(pair.ended[1][1].body) == 1000
    assert [event.stream_id for event in pair.of(ngh2.StreamReset)] == [first]


def test_an_early_answer_ends_the_request():
    """The rest of a request that is answered already is not sent."""
    pair = Pair(INITIAL_WINDOW_SIZE=10)
    stream = pair.client.request(ASK, (b"x" * 1000,))
    received = pair.client.output(1 << 16)
    pair.server.receive_data(received)
    pair.server.send_response(stream, [*OK, (b"grpc-status", b"8")], end_stream=True)
    ended = pair.client.feed(pair.server.data_to_send())
    pair.talk()

    assert ended[0][1].headers[b"grpc-status"] == b"8"
    assert [event.stream_id for event in pair.of(ngh2.StreamReset)] == [stream]


def test_the_peers_windows_are_kept():
    """Not a byte more is sent than it allows, stream by stream."""
    pair = Pair(INITIAL_WINDOW_SIZE=10)
    stream = pair.client.request(ASK, (b"x" * 100,))
    first = pair.client.output(1 << 16)
    pair.server.receive_data(first)
    events = pair.server.events()

    assert [len(event.data) for event in events if isinstance(event, ngh2.DataReceived)] == [10]
    pair.talk()
    assert sum(len(event.data) for event in pair.of(ngh2.DataReceived)) == 90
    assert stream == 1


def test_limits_of_the_peer_may_change():
    """SETTINGS may come again; without the field there is no limit."""
    pair = Pair()
    assert pair.client.max_streams > 1 << 20
    pair.server.update_settings({ngh2.Setting.MAX_CONCURRENT_STREAMS: 3})
    pair.talk()

    assert pair.client.max_streams == 3


def test_pings_both_ways():
    """Ours is answered, and so is theirs."""
    pair = Pair()
    pair.client.ping()
    pair.server.ping(b"12345678")
    pair.talk()

    assert len(pair.of(ngh2.PingReceived)) == 1
    assert len(pair.of(ngh2.PingAcknowledged)) == 1


def test_leaving():
    """A GOAWAY is said once, and no request after it."""
    pair = Pair()
    pair.client.shut()
    pair.client.shut()
    pair.talk()

    assert len(pair.of(ngh2.GoAwayReceived)) == 1
    with pytest.raises(ClosingError):
        pair.client.request(ASK, (b"",))


@pytest.mark.parametrize(
    "noise",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4, b"\xff" * 100, b"\x00" * 100, b"SSH-2.0-x\r\n" * 9],
)
def test_what_is_no_http2(noise):
    """It ends the connection, at once or with the next word of ours."""
    client = Pair().client

    try:
        client.feed(noise)
        client.output(1 << 16)
        assert client.is_over
    except FramingError:
        pass
    with pytest.raises((ClosingError, FramingError)):
        client.request(ASK, (b"",))
        client.output(1 << 16)
        client.feed(noise)


def test_heads_are_bounded():
    """A peer that says too much in headers is not listened to any more."""
    pair = Pair()
    stream = pair.ask()
    pair.server.send_response(stream, [*OK, (b"x", b"a" * 9000)], end_stream=True)

    with pytest.raises(FramingError):
        pair.talk()


@given(st.lists(st.integers(1, 400), max_size=30), st.integers(0, 1))
def test_where_the_bytes_are_cut_changes_nothing(cuts, trailers):
    """An answer is the same in one piece and in many."""
    pair = Pair()
    stream = pair.ask()
    pair.server.send_response(stream, OK)
    pair.server.send_data(stream, b"y" * 300, end_stream=not trailers)
    if trailers:
        pair.server.send_trailers(stream, [(b"t", b"u")])
    sent = pair.server.data_to_send()
    edges = sorted({0, len(sent), *(min(cut, len(sent)) for cut in cuts)})
    ended = [end for start, stop in pairwise(edges) for end in pair.client.feed(sent[start:stop])]

    assert [(number, answer.body) for number, answer in ended] == [(stream, b"y" * 300)]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_client(noise):
    """Whatever comes, streams end or the connection does; nothing else is raised."""
    pair = Pair()
    pair.ask()
    try:
        for _, outcome in pair.client.feed(noise):
            assert isinstance(outcome, Http2Response | StreamReset | AnswerTooLarge)
        pair.client.output(1 << 16)
    except FramingError:
        return
    assert pair.client.running <= 1


@pytest.mark.parametrize("table", [0, 4096])
@pytest.mark.parametrize("text", [b"got [1,1]. ", b" ", b" a", b" both  ", b"many words, " * 100])
def test_blanks_at_the_ends_of_values(text: bytes, table: int):
    """In headers, in trailers and in an answer that is nothing but trailers; again, from the dynamic table."""
    pair = Pair(max_table=table)
    for _ in range(3):
        stream = pair.ask()
        pair.server.send_response(stream, [*OK, (b"first", b" x "), (b"second", b"y\t")])
        pair.server.send_data(stream, b"body")
        pair.server.send_trailers(stream, [(b"grpc-status", b"3"), (b"grpc-message", text), (b"last", text)])
        pair.talk()
        pair.server.send_response(pair.ask(), [*OK, (b"grpc-message", text)], end_stream=True)
        pair.talk()

    stripped = {b":status": b"200", b"first": b"x", b"second": b"y"}
    trailers = {b"grpc-status": b"3", b"grpc-message": text, b"last": text.strip()}
    whole = Http2Response(200, stripped, b"body", trailers)
    alone = Http2Response(200, {b":status": b"200", b"grpc-message": text}, b"", {})
    assert [answer for _, answer in pair.ended] == [whole, alone] * 3
    assert pair.client.running == 0


@pytest.mark.parametrize("value", [b"\0", b"a\x1f", b"a\xf7", b"\xf7"])
def test_an_answer_that_is_refused_here(value: bytes):
    """It is not taken for a reset of the peer's, and other streams go on."""
    pair = Pair()
    refused, reset, other = pair.ask(), pair.ask(), pair.ask()
    pair.server.send_response(refused, [*OK, (b"x", value)])
    pair.server.reset_stream(reset, 1)
    pair.server.send_response(other, OK, end_stream=True)
    pair.talk()

    assert dict(pair.ended) == {
        refused: AnswerRefused(),
        reset: StreamReset(1),
        other: Http2Response(200, {b":status": b"200"}, b"", {}),
    }
