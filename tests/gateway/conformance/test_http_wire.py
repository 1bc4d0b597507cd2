"""The suite's HTTP client before servers that do as they please."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway.conformance.http_wire import (
    HttpAnswer,
    HttpRequest,
    HttpWire,
    ServerAddress,
    WireError,
    parse_json,
)
from gateway.conformance.verdicts import Violation

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = HttpRequest("GET", "/")


@contextmanager
def server(*talks: Callable[[socket.socket], None]) -> Iterator[ServerAddress]:
    """Listen, and give each connection to the next of ``talks``."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for talk in talks:
            connection, _ = listener.accept()
            with connection:
                try:
                    talk(connection)
                except OSError:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield ServerAddress("127.0.0.1", listener.getsockname()[1])
    finally:
        listener.close()
        thread.join(5)


def says(*pieces: bytes) -> Callable[[socket.socket], None]:
    """Answer each request with the next piece."""

    def talk(connection: socket.socket) -> None:
        for piece in pieces:
            connection.recv(1 << 16)
            connection.sendall(piece)

    return talk


def drips(connection: socket.socket) -> None:
    """Send a byte now and then, for ever."""
    connection.recv(1 << 16)
    for sign in OK * 100:
        connection.sendall(bytes((sign,)))
        time.sleep(0.05)


def test_requests_in_turn_on_one_connection() -> None:
    with server(says(OK, OK.replace(b"ok", b"no"))) as address:
        answers = HttpWire(address).in_turn(GET, GET)

    assert [answer.body for answer in answers] == [b"ok", b"no"]


def test_what_is_sent_is_what_was_said() -> None:
    heard = []

    def listen(connection: socket.socket) -> None:
        received = b""
        while not received.endswith((b"body", b"0\r\n\r\n")):
            received += connection.recv(1 << 16)
        heard.append(received)
        connection.sendall(OK)

    with server(listen, listen) as address:
        wire = HttpWire(ServerAddress(address.host, address.port, "/prefix"))
        wire.ask(HttpRequest("POST", "/x?y", (("X-One", "1"),), b"body"))
        wire.ask(HttpRequest("POST", "/x", (), (b"bo", b"dy")))

    host = f"Host: 127.0.0.1:{address.port}"
    assert (
        heard[0].decode()
        == f"POST /prefix/x?y HTTP/1.1\r\n{host}\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbody"
    )
    assert b"Content-Length" not in heard[1]
    assert heard[1].endswith(b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n")


def test_server_that_drips_is_given_up_in_time() -> None:
    with server(drips) as address, pytest.raises(WireError, match=r"no whole answer within 0\.5 s"):
        HttpWire(address, timeout_s=0.5).ask(GET)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed connection without response"),
        (OK[:-1], "IncompleteRead|more expected"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "SSH"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "longer than"),
    ],
)
def test_answers_that_are_not_whole_are_an_error(answer: bytes, reason: str) -> None:
    with server(says(answer)) as address, pytest.raises(WireError, match=reason):
        HttpWire(address, timeout_s=5).ask(GET)


def test_second_request_on_a_connection_that_has_ended_is_an_error() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with server(says(closing)) as address, pytest.raises(WireError, match="ended the connection"):
        HttpWire(address).in_turn(GET, GET)


def test_nobody_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(WireError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused"):
        HttpWire(ServerAddress("127.0.0.1", port)).ask(GET)


def test_leaving_inside_a_body() -> None:
    heard = []

    def listen(connection: socket.socket) -> None:
        while received := connection.recv(1 << 16):
            heard.append(received)

    with server(listen) as address:
        HttpWire(address).abandon(HttpRequest("POST", "/", (), b"body"), 2)

    assert b"".join(heard).endswith(b"Content-Length: 4\r\n\r\nbo")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://a:1", ServerAddress("a", 1)),
        ("a:1", ServerAddress("a", 1)),
        ("https://a/x/", ServerAddress("a", 443, "/x", tls=True)),
        ("http://[::1]:8", ServerAddress("::1", 8)),
    ],
)
def test_addresses(url: str, address: ServerAddress) -> None:
    assert ServerAddress.of(url) == address


@pytest.mark.parametrize("url", ["ftp://a", "http://", "", "http://a:x", "http://a:99999"])
def test_places_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="is not a URL such as"):
        ServerAddress.of(url)


def test_headers_are_found_in_any_case_and_joined() -> None:
    answer = HttpAnswer(200, (("Allow", "GET"), ("allow", "HEAD")), b"[]")

    assert answer.header("ALLOW") == "GET, HEAD"
    assert answer.header("x") == ""
    with pytest.raises(Violation, match="a JSON list, not an object"):
        answer.object()


def test_json_that_is_none_is_quoted_shortly() -> None:
    with pytest.raises(Violation, match="not JSON") as found:
        parse_json(b"<html>" * 1000)

    assert len(str(found.value)) < 200
