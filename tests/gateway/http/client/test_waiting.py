"""Calls that wait for a connection."""

from __future__ import annotations

import asyncio

import pytest

from gateway.http.client.dialer import UnreachableError
from gateway.http.client.waiting import WaitingCalls


def waiting() -> WaitingCalls[str]:
    return WaitingCalls(asyncio.get_running_loop())


async def test_in_their_order():
    """Whoever was cancelled meanwhile is passed over."""
    calls = waiting()
    first, second, third = calls.add(), calls.add(), calls.add()
    first.cancel()

    assert repr(calls) == "<WaitingCalls, 3 waiting>"
    assert calls.give("a")
    assert (await second, third.done(), len(calls)) == ("a", False, 1)
    assert calls.give("b")
    assert not calls.give("c")


async def test_a_call_that_gives_up():
    """What it was given in the same moment is the next one's."""
    calls = waiting()
    one, other = calls.add(), calls.add()
    assert (calls.abandon(one), len(calls)) == (None, 1)
    calls.give("a")

    assert calls.abandon(other) == "a"


async def test_a_call_that_gives_up_as_it_is_refused():
    """It was given nothing."""
    calls = waiting()
    one = calls.add()
    calls.refuse(None)

    assert calls.abandon(one) is None
    assert isinstance(one.exception(), UnreachableError)


async def test_no_connection_can_be_had():
    """All of them learn why; who was cancelled does not need to."""
    calls, why = waiting(), OSError("nobody is there")
    one, other = calls.add(), calls.add()
    other.cancel()
    calls.refuse(why)

    with pytest.raises(UnreachableError) as caught:
        await one
    assert (caught.value.__cause__, len(calls)) == (why, 0)
