"""HTTP/2 from its server's side: events, answers and windows. What is hostile stands in a file of its own."""

from __future__ import annotations

from typing import Any

import ngh2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.framing.http2_server import (
    CANCEL,
    PREFACE,
    REFUSED_STREAM,
    BodyData,
    BodyEnd,
    HeadTooLarge,
    Http2Request,
    Http2Server,
    StreamClosed,
)
from tests.fakes.http2_frames import (
    ACK,
    BEGIN,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    POST,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    coded_literal,
    data,
    frame,
    frames,
    headers,
    literal,
    reset,
    setting,
    window,
)

OK = [(b":status", b"200")]
STATUS = [(b"grpc-status", b"0")]
MIB = 1 << 20

STORY = (
    BEGIN
    + headers(1, [*POST, (b"content-length", b"5")], end=False)
    + headers(3, [*POST, (b"te", b"trailers")], end=False)
    + data(3, b"one")
    + data(1, b"hello", end=True)
    + frame(0x77, 0xFF, 3, b"of a kind that nobody knows")
    + frame(PRIORITY, 0, 9, b"\0\0\0\0\x10")
    + data(3, b"two" * 100)
    + headers(5)
    + headers(3, [(b"grpc-trace", b"x")])
    + frame(HEADERS, 0, 7, block(POST[:2]))
    + frame(CONTINUATION, 0, 7, block(POST[2:3]))
    + frame(CONTINUATION, END_HEADERS, 7, block(POST[3:]))
    + frame(DATA, PADDED, 7, b"\x03padded\0\0\0")
    + reset(7)
)


class Pair:
    """A server and a client, and all bytes between them."""

    def __init__(self, options: dict[str, int] | None = None, **settings: int) -> None:
        self.server = Http2Server(**(options or {}))
        self.client = ngh2.Connection(ngh2.Role.CLIENT)
        self.client.initiate_connection({ngh2.Setting[name]: value for name, value in settings.items()})
        self.events: list[Any] = []
        self.heard: list[Any] = []
        self.talk()

    def talk(self) -> None:
        while True:
            if said := self.client.data_to_send():
                self.events += self.server.feed(said)
            if answered := self.server.output(MIB):
                self.client.receive_data(answered)
                self.heard += self.client.events()
            if not said and not answered:
                return

    def ask(self, body: bytes = b"", *, end: bool = True) -> int:
        stream = self.client.send_request(POST, end_stream=end and not body)
        if body:
            self.client.send_data(stream, body, end_stream=end)
        self.talk()
        return stream

    def of(self, kind: Any) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]

    def body(self, stream: int) -> bytes:
        return b"".join(event.data for event in self.of(ngh2.DataReceived) if event.stream_id == stream)


def by_stream(events: list[Any]) -> dict[int, list[Any]]:
    """What each stream brought: parts of a body are one part, however they came."""
    streams: dict[int, list[Any]] = {}
    for event in events:
        told = streams.setdefault(event.stream, [])
        match event:
            case BodyData(data=part, is_complete=is_complete):
                if not (told and isinstance(told[-1], bytes)):
                    told.append(b"")
                told[-1] += part
                if is_complete:
                    told.append("complete")
            case BodyEnd():
                told.append("complete")
            case Http2Request(head=head):
                told.append((head, event.length))
                if event.is_complete:
                    told.append("complete")
            case StreamClosed(error=error):
                told.append(error)
    return streams


def test_a_story_of_four_streams():
    """A length that is told, trailers, no body at all, a head in pieces, padding, a reset."""
    events = Http2Server().feed(STORY)
    told = by_stream(events)

    assert list(told) == [1, 3, 5, 7]
    (head, length), *rest = told[1]
    assert (head.method, head.path, head.length, length) == ("POST", "/x", 5, 5)
    assert head.headers == (("host", "far"), ("content-length", "5"))
    assert rest == [b"hello", "complete"]
    assert told[3][1:] == [b"one" + b"two" * 100, "complete"] and told[3][0][1] is None
    assert told[5][0][1] == 0 and told[5][1:] == ["complete"]
    assert told[7][1:] == [b"padded", CANCEL]


@given(st.lists(st.integers(1, len(STORY) - 1), max_size=40).map(sorted))
def test_events_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int]):
    server = Http2Server()
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(STORY)], strict=True):
        events += server.feed(STORY[start:end])

    assert by_stream(events) == by_stream(Http2Server().feed(STORY))


def test_byte_by_byte():
    server = Http2Server()
    events = [event for byte in STORY for event in server.feed(bytes((byte,)))]

    assert by_stream(events) == by_stream(Http2Server().feed(STORY))


def test_has_begun_with_the_settings_of_the_peer():
    server = Http2Server()
    server.feed(PREFACE)
    assert not server.has_begun
    server.feed(BEGIN[len(PREFACE) :])
    assert server.has_begun and not server.is_over


def test_it_says_its_limits_first():
    server = Http2Server(max_streams=7, stream_window_bytes=99_999, connection_window_bytes=MIB)
    first, second = frames(server.output(MIB))

    assert first.kind == SETTINGS
    for number, value in ((3, 7), (4, 99_999), (6, 60 << 10)):
        assert setting(number, value) in first.payload
    assert (second.kind, second.stream) == (WINDOW_UPDATE, 0)
    assert int.from_bytes(second.payload, "big") == MIB - 65_535


@pytest.mark.parametrize("trailers", [STATUS, []], ids=["trailers", "none"])
@pytest.mark.parametrize("parts", [[], [b""], [b"hi"], [b"a", memoryview(b"b"), b""], [bytes(300_000)]])
def test_whole_answers(parts: list[Any], trailers: list[Any]):
    pair = Pair(INITIAL_WINDOW_SIZE=MIB)
    pair.client.set_local_window_size(MIB)
    stream = pair.ask()
    pair.server.answer(stream, OK, parts, trailers)
    pair.talk()

    body = b"".join(bytes(part) for part in parts)
    (response,) = pair.of(ngh2.ResponseReceived)
    assert pair.body(stream) == body
    assert response.end_stream is (not body)
    told = pair.of(ngh2.TrailersReceived)
    if body and trailers:
        assert told[0].headers == tuple(trailers)
    else:
        assert not told
        assert (STATUS[0] in response.headers) is bool(trailers)
    assert pair.of(ngh2.StreamClosed)[0].error_code == 0


def test_streamed_answer():
    pair = Pair()
    stream = pair.ask()
    server = pair.server
    assert server.begin(stream, OK) and server.more(stream, b"one") and server.more(stream, b"two")
    pair.talk()
    assert pair.body(stream) == b"onetwo"
    assert server.finish(stream, STATUS)
    pair.talk()
    assert pair.of(ngh2.TrailersReceived)[0].headers == tuple(STATUS)

    second = pair.ask()
    assert server.begin(second, OK) and server.finish(second, [])
    pair.talk()
    assert pair.of(ngh2.StreamClosed)[-1].error_code == 0


def test_an_answer_to_nobody():
    """Of a stream that was left, nothing is sent and nothing breaks."""
    pair = Pair()
    stream = pair.ask(b"hi", end=False)
    pair.client.reset_stream(stream)
    pair.talk()
    assert pair.events[-1] == StreamClosed(stream, CANCEL)
    server = pair.server
    server.answer(stream, OK, [b"late"], STATUS)
    assert not (server.begin(stream, OK) or server.more(stream, b"x") or server.finish(stream, STATUS))
    server.reset(stream, CANCEL)
    server.acknowledge(2, stream)
    pair.talk()

    assert not pair.of(ngh2.ResponseReceived)
    assert not pair.server.is_over


def test_an_answer_that_cannot_be_said():
    """Trailers larger than a peer would take reset their stream: it is not left waiting."""
    pair = Pair()
    stream = pair.ask()
    pair.server.answer(stream, OK, [b"hi"], [(b"grpc-message", b"x" * 70_000)])
    pair.talk()
    assert pair.of(ngh2.StreamReset)[0].stream_id == stream

    second = pair.ask()
    pair.server.begin(second, OK)
    pair.server.answer(second, OK, [b"twice"], [])
    pair.talk()
    assert pair.of(ngh2.StreamReset)[1].stream_id == second


def test_windows_open_as_bytes_are_acknowledged_and_not_before():
    pair = Pair({"stream_window_bytes": 70_000, "connection_window_bytes": MIB})
    stream = pair.ask(bytes(200_000))
    came = sum(len(event.data) for event in pair.events if isinstance(event, BodyData))
    assert came == 70_000
    pair.server.acknowledge(40_000, stream)
    pair.talk()
    came = sum(len(event.data) for event in pair.events if isinstance(event, BodyData))
    assert came == 110_000


def test_output_is_bounded_and_waits_for_windows():
    pair = Pair(INITIAL_WINDOW_SIZE=50_000)
    stream = pair.ask()
    pair.server.answer(stream, OK, [bytes(200_000)], [])
    assert pair.server.queued(stream) == pair.server.queued() == 200_000
    sizes = []
    while output := pair.server.output(10_000):
        sizes.append(len(output))
        pair.client.receive_data(output)
    assert max(sizes) <= 10_000
    assert pair.server.queued(stream) == 150_000
    pair.talk()
    assert pair.server.queued() == pair.server.queued(99) == 0


def test_streams_above_the_limit_are_refused_and_the_others_go_on():
    server = Http2Server(max_streams=2)
    server.feed(BEGIN)
    server.output(MIB)
    events = server.feed(b"".join(headers(stream, end=False) for stream in (1, 3, 5)))
    assert [event.stream for event in events] == [1, 3]
    refused = [told for told in frames(server.output(MIB)) if told.kind == RST_STREAM]
    assert [(told.stream, told.code) for told in refused] == [(5, REFUSED_STREAM)]

    server.answer(1, OK, [b"x"], [])
    server.reset(1, 0)
    server.output(MIB)
    assert [type(event) for event in server.feed(headers(7, end=False))][-1] is Http2Request

    # One that has said that it knows the limit, and does not keep to it, ends the connection.
    server.feed(frame(SETTINGS, ACK) + headers(9, end=False))
    assert frames(server.output(MIB))[-1].kind == GOAWAY
    assert server.is_over


def test_the_end_in_two_words():
    """First that no more should come, then that no more is taken; what crosses with the first is answered."""
    pair = Pair()
    first = pair.ask(b"x", end=False)
    pair.server.announce_end()
    (word,) = frames(pair.server.output(MIB))
    assert (word.kind, word.code) == (GOAWAY, 0) and word.payload[:4] == b"\x7f\xff\xff\xff"
    crossed = pair.ask()
    assert Http2Request in [type(event) for event in pair.events if event.stream == crossed]

    pair.server.end()
    (word,) = frames(pair.server.output(MIB))
    assert int.from_bytes(word.payload[:4], "big") == crossed
    assert pair.server.feed(headers(crossed + 2)) == []
    pair.server.answer(crossed, OK, [b"x"], [])
    pair.client.end_stream(first)
    pair.talk()
    assert not pair.server.is_over
    pair.server.answer(first, OK, [b"x"], [])
    pair.talk()
    assert pair.server.is_over


def test_goaway_of_the_client_lets_its_streams_end():
    server = Http2Server()
    server.feed(BEGIN + headers(1) + frame(GOAWAY, 0, 0, bytes(8)))
    server.output(MIB)
    assert not server.is_over
    server.answer(1, OK, [b"x"], [])
    server.output(MIB)
    assert server.is_over


def test_equal_heads_are_one_object():
    """Of one connection: nothing of another peer's head is known. Long ones are not kept, be it their names
    or their values that are long.
    """
    server, other = Http2Server(), Http2Server()
    first, second = server.feed(BEGIN + headers(1) + headers(3))
    (third,) = other.feed(BEGIN + headers(1))
    assert first.head is second.head
    assert first.head == third.head and first.head is not third.head
    for pair in ((b"x" * 3000, b"y"), (b"x", b"y" * 3000)):
        first, second = Http2Server().feed(BEGIN + headers(1, [*POST, pair]) + headers(3, [*POST, pair]))
        assert first.head == second.head and first.head is not second.head


def test_heads_too_large_are_told_and_the_connection_lives():
    server = Http2Server(max_head_bytes=1024, max_headers=10)
    many = headers(1, [*POST, *[(b"a", b"b")] * 10], end=False)
    large = headers(3, [*POST, (b"a", b"b" * 1000)])
    few = headers(5, [*POST, *[(b"a", b"b")] * 9])
    events = server.feed(BEGIN + many + large + few)

    assert [(type(event), event.stream, event.is_complete) for event in events] == [
        (HeadTooLarge, 1, False),
        (HeadTooLarge, 3, True),
        (Http2Request, 5, True),
    ]
    assert not server.is_over


@given(
    sizes=st.lists(st.integers(0, 300_000), min_size=1, max_size=6),
    stream_window=st.integers(1 << 16, 1 << 18),
    peer_window=st.integers(1, 100_000),
    most=st.integers(1, 1 << 16).map(lambda most: most + 500),
)
def test_flow_control_never_stalls(sizes: list[int], stream_window: int, peer_window: int, most: int):
    """Bodies of any size come and go over any windows, as long as each side acknowledges what it reads."""
    pair = Pair({"stream_window_bytes": stream_window, "connection_window_bytes": 1 << 16})
    pair.client.update_settings({ngh2.Setting.INITIAL_WINDOW_SIZE: max(peer_window, 1000)})
    streams = {pair.client.send_request(POST): size for size in sizes}
    for stream, size in streams.items():
        pair.client.send_data(stream, bytes(size), end_stream=True)
    came = dict.fromkeys(streams, 0)
    while True:
        said = pair.client.data_to_send(most)
        for event in pair.server.feed(said) if said else ():
            if isinstance(event, BodyData):
                came[event.stream] += len(event.data)
                pair.server.acknowledge(len(event.data), event.stream)
                if event.is_complete:
                    pair.server.answer(event.stream, OK, [bytes(streams[event.stream])], STATUS)
        if answered := pair.server.output(most):
            pair.client.receive_data(answered)
            pair.heard += pair.client.events()
        if not said and not answered:
            break

    assert came == streams
    assert {stream: len(pair.body(stream)) for stream in streams} == streams


def test_window_that_shrinks_below_zero():
    """SETTINGS may take back what was given; the answer goes on when the window is positive again."""
    server = Http2Server()
    server.feed(BEGIN + headers(1))
    server.answer(1, OK, [bytes(100_000)], [])
    server.output(MIB)
    assert server.queued(1) == 100_000 - 65_535
    server.feed(frame(SETTINGS, 0, 0, setting(4, 0)) + window(0, 100_000) + window(1, 65_535))
    server.output(MIB)
    assert server.queued(1) == 100_000 - 65_535
    server.feed(window(1, 100_000))
    server.output(MIB)
    assert server.queued() == 0


@pytest.mark.parametrize("write", [literal, coded_literal])
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("size", [1, 13, 1000])
def test_blanks_around_values_are_no_part_of_them(write: Any, *, indexed: bool, size: int):
    """Whoever refers to the dynamic table means the same value; other streams are not touched."""
    fields = (
        write(b"x", b" y ", indexed=indexed)
        + write(b"z", b"z\t", indexed=indexed)
        + write(b"empty", b" ", indexed=indexed)
    )
    received = BEGIN + headers(1, more=fields) + headers(3, more=b"\xbe\xbf\xc0" if indexed else b"")
    server = Http2Server()
    events = [
        event
        for at in range(0, len(received), size)
        for event in server.feed(received[at : at + size])
        if isinstance(event, Http2Request)
    ]

    assert dict(events[0].head.headers) == {"host": "far", "x": "y", "z": "z", "empty": ""}
    assert dict(events[1].head.headers) == dict(events[0].head.headers if indexed else [("host", "far")])
