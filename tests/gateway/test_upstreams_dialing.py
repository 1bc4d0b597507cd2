"""Connecting takes a bounded time, whatever name servers and hosts do."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gateway.upstreams.dialing import Dialer
from tests.fakes.redis_server import free_port
from tests.fakes.upstreams import scripted_peer


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def dialer(host: str, port: int, **options: Any) -> Dialer:
    return Dialer(host, port, **{"resolve_timeout_s": 0.05, "connect_timeout_s": 0.5, **options})


class Names:
    """Name servers that answer as they are told; None is never."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.asked = 0
        self.answers = list(answers)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self)

    async def __call__(self, host: str, port: int, **_options: Any) -> Any:
        if host.replace(".", "").isdecimal():
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        self.asked += 1
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if said is None:
            await asyncio.Event().wait()
        if isinstance(said, Exception):
            raise said
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in said]


async def test_the_first_address_that_answers(monkeypatch):
    """A name may have addresses where nobody is; it is asked for once in a while only."""
    names = Names(monkeypatch, ["127.0.0.2", "127.0.0.1", "127.0.0.1"])
    async with scripted_peer(silent) as peer:
        dial = dialer("far", peer.port)
        for _ in range(2):
            protocol = await dial.dial(Kept)
            protocol.transport.close()

    assert names.asked == 1
    assert repr(dial) == f"<Dialer of far:{peer.port}, 2 addresses>"


class Kept(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport


async def test_name_servers_that_never_answer(monkeypatch):
    """Looking up has a time of its own, and many calls share one look-up."""
    names = Names(monkeypatch, None)
    dial = dialer("far", 1)

    async with asyncio.timeout(1):
        ended = await asyncio.gather(*(dial.dial(Kept) for _ in range(20)), return_exceptions=True)
        with pytest.raises(TimeoutError):
            await dial.dial(Kept)
    dial.close()

    assert {type(error) for error in ended} == {TimeoutError}
    assert names.asked == 1


@pytest.mark.parametrize("trouble", [None, socket.gaierror("no")], ids=["hangs", "fails"])
async def test_old_addresses_are_better_than_none(monkeypatch, trouble):
    """Once a name was known, name servers may break."""
    names = Names(monkeypatch, ["127.0.0.1"], trouble)
    async with scripted_peer(silent) as peer:
        dial = dialer("far", peer.port)
        (await dial.dial(Kept)).transport.close()
        dial._expires = 0.0
        (await dial.dial(Kept)).transport.close()
    dial.close()

    assert names.asked == 2


async def test_after_a_failure_the_name_is_asked_for_again(monkeypatch):
    """It may point elsewhere by now."""
    names = Names(monkeypatch, ["127.0.0.1"])
    dial = dialer("far", free_port())

    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await dial.dial(Kept)

    assert names.asked == 2


@pytest.mark.parametrize("said", [[], UnicodeError("label too long")], ids=["no address", "no name"])
async def test_names_that_are_none(monkeypatch, said):
    """They are failures to connect like any other."""
    Names(monkeypatch, said)

    with pytest.raises(OSError, match="name"):
        await dialer("far", 1).dial(Kept)
