"""What all workers inherit, and its end."""

from __future__ import annotations

import os
import select
import socket

import pytest

from gateway.app.errors import StartError
from gateway.app.workers.shared import Shared
from gateway.config.settings import ListenSettings


def is_over(lifeline: int) -> bool:
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    return bool(poll.poll(0))


def test_it_lets_go_of_everything() -> None:
    """Once it is closed clients are refused, and whoever inherited the lifeline knows; the ports stay known."""
    shared = Shared.open(ListenSettings(http="127.0.0.1:0", grpc=None, admin=None))
    ports = {"http": shared.sockets["http"].getsockname()[1]}
    assert repr(shared) == f"<Shared open, ports {ports}>"
    inherited = os.dup(shared.lifeline)
    assert not is_over(inherited)

    shared.close()
    shared.close()

    assert is_over(inherited)
    os.close(inherited)
    assert repr(shared) == f"<Shared closed, ports {ports}>"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports["http"]))


def test_lists_of_addresses() -> None:
    """Workers inherit a socket for each."""
    shared = Shared.open(ListenSettings(http=("127.0.0.1:0", "127.0.0.1:0"), grpc=None, admin=None))
    assert list(shared.sockets) == ["http", "http[1]"]
    for port in shared.ports.values():
        socket.create_connection(("127.0.0.1", port)).close()

    shared.close()

    for port in shared.ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_address_that_is_taken_leaves_nothing_open() -> None:
    """The address before it is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as freed:
        port, address = freed.getsockname()[1], f"127.0.0.1:{taken.getsockname()[1]}"
        freed.close()
        with pytest.raises(StartError, match=f"cannot listen on {address}"):
            Shared.open(ListenSettings(http=f"127.0.0.1:{port}", grpc=address, admin=None))

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
