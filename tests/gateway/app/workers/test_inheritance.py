"""What a parent hands down to a worker."""

from __future__ import annotations

import asyncio
import os
import select
import socket

import msgspec
import pytest

from gateway.app.workers.inheritance import Inheritance


@pytest.fixture
def pipes():
    """Read and write ends: of the pipe for readiness, and of the lifeline."""
    ends = (*os.pipe(), *os.pipe())
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test has closed it


def made(**changes) -> Inheritance:
    settings = {
        "number": 1,
        "serial": 3,
        "sockets": {},
        "ready": -1,
        "lifeline": -1,
        "admin": "/run/3.sock",
        "parent": "/run/parent.sock",
    }
    return Inheritance(**{**settings, **changes})


def test_travels_as_one_argument() -> None:
    """What is decoded is what was encoded."""
    inheritance = made(sockets={"http": 7, "grpc": 8}, ready=9, lifeline=10)

    assert Inheritance.decode(inheritance.encode()) == inheritance
    assert inheritance.descriptors() == (7, 8, 9, 10)


@pytest.mark.parametrize("argument", ["", "{", "{}", '{"number":"1"}', "[]"])
def test_argument_that_no_parent_wrote(argument: str) -> None:
    """It is refused, not guessed at."""
    with pytest.raises(msgspec.DecodeError):
        Inheritance.decode(argument)


def test_parent_that_leaves(pipes) -> None:
    """A worker knows at any time whether the others leave as well."""
    inheritance = made(lifeline=pipes[2])
    assert not inheritance.is_parent_leaving()

    os.close(pipes[3])

    assert inheritance.is_parent_leaving()


def test_socket_is_the_parents() -> None:
    """A client that waits in the parent's queue is accepted from the descriptor that was handed down."""
    with socket.create_server(("127.0.0.1", 0)) as parents:
        inheritance = made(sockets={"http": os.dup(parents.fileno())})
        inherited = inheritance.socket("http")
        assert inherited is not None
        with inherited, socket.create_connection(parents.getsockname()):
            inherited.accept()[0].close()

    assert inheritance.socket("grpc") is None


async def test_heartbeats(pipes) -> None:
    """None before the worker serves; then one at once, and more until its end."""
    serves = asyncio.Event()
    os.set_blocking(pipes[0], False)
    async with made(ready=pipes[1]).beating(serves):
        await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            os.read(pipes[0], 10)

        serves.set()
        for _ in range(2):
            async with asyncio.timeout(10):
                while not readable(pipes[0]):
                    await asyncio.sleep(0.01)
            assert os.read(pipes[0], 10) == b"1"

    assert os.read(pipes[0], 10) == b""


async def test_parent_that_does_not_read(pipes) -> None:
    """Heartbeats for which there is no room are dropped; the worker does not wait."""
    serves = asyncio.Event()
    os.set_blocking(pipes[1], False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(pipes[1], bytes(4096))
    async with made(ready=pipes[1]).beating(serves):
        serves.set()
        await asyncio.sleep(0.01)


async def test_parent_that_is_gone_need_not_know(pipes) -> None:
    """A worker that gets ready after its parent has gone does not fail."""
    os.close(pipes[0])
    serves = asyncio.Event()

    async with made(ready=pipes[1]).beating(serves):
        serves.set()
        await asyncio.sleep(0.01)


def readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


async def test_end_of_the_parent_is_noticed_once(pipes) -> None:
    """As long as the parent holds its end nothing happens; then one call, not one per turn of the loop."""
    calls: list[None] = []
    made(lifeline=pipes[2]).watch_parent(asyncio.get_running_loop(), lambda: calls.append(None))
    await asyncio.sleep(0.01)
    assert not calls

    os.close(pipes[3])
    await asyncio.sleep(0.02)

    assert len(calls) == 1
