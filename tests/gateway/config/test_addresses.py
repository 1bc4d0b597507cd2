"""Which addresses are addresses, and which of them are in each other's way."""

from __future__ import annotations

import errno
import socket

import pytest

from gateway.config.addresses import host_and_port, is_address, listed, overlap
from gateway.http.server.binding import bind
from tests.fakes.redis_server import free_port


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("[::1]:0", ("::1", 0)),
        ("a-host.example:65535", ("a-host.example", 65535)),
        ("host:65536", None),
        ("host", None),
        ("::1:8000", None),
        (":8000", None),
        ("host:8000 ", None),
        ("host:", None),
    ],
)
def test_addresses(text: str, found: tuple[str, int] | None) -> None:
    assert is_address(text) is (found is not None)
    if found is not None:
        assert host_and_port(text) == found


def test_one_or_several() -> None:
    assert (listed(None), listed("a:1"), listed(("a:1", "b:1"))) == ((), ("a:1",), ("a:1", "b:1"))


@pytest.mark.parametrize(
    ("lists", "name", "why"),
    [
        ({"http": ["a:1", "A:1"]}, "http", "a with port 1 is listed twice"),
        ({"http": ["a:1"], "grpc": ["b:1", "A:1"]}, "grpc", "a with port 1 is listed in listen.http as well"),
        ({"grpc": ["[::1]:1"], "admin": ["[0:0::1]:1"]}, "admin", "is listed in listen.grpc as well"),
        ({"http": ["[::]:1"], "admin": ["127.0.0.1:1"]}, "admin", "[::]:1 takes all addresses"),
        ({"http": ["10.0.0.1:1"], "admin": ["[::]:1"]}, "admin", "(10.0.0.1 of listen.http)"),
        ({"http": ["0.0.0.0:1"], "admin": ["127.0.0.1:1"]}, "admin", "0.0.0.0:1 takes all IPv4 addresses"),
        ({"http": ["localhost:1", "0.0.0.0:1"]}, "http", "take the others with port 1 out (localhost)"),
        ({"http": ["0.0.0.0:1"], "grpc": ["[::]:1"]}, "grpc", "[::]:1 takes all addresses"),
    ],
)
def test_addresses_that_take_each_others_place(lists: dict[str, list[str]], name: str, why: str) -> None:
    """In one list or in two; of the second is spoken."""
    found = overlap(lists)

    assert found is not None
    assert found.name == name
    assert why in found.why


@pytest.mark.parametrize(
    "lists",
    [
        {},
        {"http": ["a:1", "a:2"], "grpc": ["b:1"], "admin": ["b:2"]},
        {"http": ["127.0.0.1:0", "127.0.0.1:0"], "grpc": ["127.0.0.1:0"], "admin": ["[::]:0"]},
        {"http": ["0.0.0.0:1", "[::1]:1"]},
        {"http": ["127.0.0.1:1"], "admin": ["127.0.0.2:1"]},
    ],
)
def test_addresses_beside_each_other(lists: dict[str, list[str]]) -> None:
    assert overlap(lists) is None


@pytest.mark.parametrize(
    ("one", "two"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "127.0.0.1")]
)
def test_the_system_has_it_so(one: str, two: str) -> None:
    port = free_port()
    is_taken = overlap({"http": [f"{one}:{port}"], "admin": [f"{two}:{port}"]}) is not None
    with bind(one, port):
        try:
            with bind(two, port) as second:
                assert isinstance(second, socket.socket)
        except OSError as error:
            assert is_taken and error.errno == errno.EADDRINUSE
        else:
            assert not is_taken
