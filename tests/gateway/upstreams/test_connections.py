"""The pool of an endpoint is there from its first call on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.http.client.dialer import UnreachableError
from gateway.upstreams.checks import dialer_of
from gateway.upstreams.connections import Connections
from gateway.upstreams.failures import Failures
from gateway.upstreams.settings import ConnectSettings
from tests.fakes.names import Names


class RecordingPool:
    """Keeps what was done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def move(self) -> bool:
        self.done.append("move")
        return True

    def renew(self) -> None:
        self.done.append("renew")

    def hurry(self) -> None:
        self.done.append("hurry")

    async def refresh(self) -> None:
        self.done.append("refresh")


def connections() -> Connections[RecordingPool]:
    dialer = dialer_of("127.0.0.1", 1, ConnectSettings(), None)
    return Connections(RecordingPool, dialer, Failures("far"))


async def use(made: Connections[Any]) -> bool:
    moved = made.move()
    made.renew()
    made.hurry()
    await made.refresh()
    return moved


async def test_before_the_first_call_there_is_nothing_to_renew() -> None:
    """No pool is made for it."""
    made = connections()

    assert not await use(made)
    assert made.opened is None
    assert made.close() is None


async def test_one_pool_has_everything_done_to_it() -> None:
    """It is made once."""
    made = connections()
    pool = made.pool()

    assert await use(made)
    assert pool.done == ["move", "renew", "hurry", "refresh"]
    assert made.pool() is made.opened is pool
    assert repr(made) == "<Connections open, 0 running>"


async def test_after_closing_nothing_is_sent() -> None:
    """A call is refused, and one that ended with the connections is nobody's failure."""
    made = connections()
    pool = made.pool()

    assert made.close() is pool
    with pytest.raises(GatewayError) as caught:
        made.pool()
    assert (caught.value.fault, caught.value.retryable, caught.value.counts) == (
        Fault.UNAVAILABLE,
        True,
        False,
    )
    assert caught.value.unsent
    for error in (ConnectionResetError(), UnreachableError()):
        lost = made.lost(error)
        assert (lost.counts, lost.unsent) == (False, isinstance(error, UnreachableError))
    assert repr(made) == "<Connections closed, 0 running>"


async def test_the_reason_is_that_of_the_attempt_to_connect() -> None:
    """Not that of the pool, which could only say that there is no connection."""
    unreachable = UnreachableError("no connection")
    unreachable.__cause__ = ConnectionRefusedError()

    error = connections().lost(unreachable)

    assert error.counts
    assert error.unsent
    assert error.why is not None
    assert error.why.reason == "refused"


@pytest.mark.parametrize(
    "cause", [ConnectionResetError(), ConnectionRefusedError(), TimeoutError()], ids=repr
)
async def test_what_ends_on_a_connection_may_have_been_sent(cause: OSError) -> None:
    """Whatever the reason: there was a connection."""
    assert not connections().lost(cause).unsent


async def test_closing_ends_the_search_for_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that never answers holds nothing up."""
    Names(monkeypatch, None)
    dialer = dialer_of("far", 1, ConnectSettings(resolve_timeout_s=60.0), None)
    made = Connections(RecordingPool, dialer, Failures("far"))
    search = asyncio.create_task(dialer.addresses.resolve())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    made.close()

    done, _ = await asyncio.wait([search], timeout=50)
    search.cancel()
    assert done == {search}
