"""Addresses: looked up in bounded time, and remembered for what they are worth."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.http.client.addresses import Addresses
from tests.fakes.names import Names
from tests.fakes.virtual_time import virtual_time


def addresses(host: str = "far", **changes) -> Addresses:
    return Addresses(host, 1, **{"timeout_s": 0.05, "refresh_s": 5.0, **changes})


@virtual_time
async def test_a_name_is_asked_for_once_in_a_while() -> None:
    """And again when what was found is old, or has failed."""
    with pytest.MonkeyPatch.context() as patch:
        names = Names(patch, ["127.0.0.2", "127.0.0.1", "127.0.0.1"])
        known = addresses()
        for _ in range(3):
            assert await known.resolve() == ["127.0.0.2", "127.0.0.1"]
        assert names.lookups == 1

        await asyncio.sleep(5)
        await known.resolve()
        assert names.lookups == 2

        known.failed("127.0.0.2")
        assert await known.resolve() == ["127.0.0.1", "127.0.0.2"]
        assert names.lookups == 3
        assert repr(known) == "<Addresses of far, 2, 1 failed>"


@virtual_time
async def test_the_families_take_turns() -> None:
    """Where one of them is broken the second attempt is of the other (RFC 8305)."""
    with pytest.MonkeyPatch.context() as patch:
        Names(patch, ["::1", "::2", "::3", "127.0.0.1"])

        assert await addresses().resolve() == ["::1", "127.0.0.1", "::2", "::3"]


@virtual_time
async def test_who_failed_is_tried_last_for_a_while() -> None:
    """5 s, then twice as long each time, at most 60 s; an answer forgets it."""
    with pytest.MonkeyPatch.context() as patch:
        Names(patch, ["127.0.0.1", "127.0.0.2"])
        known = addresses()
        await known.resolve()
        for longest_s in (5, 10, 20, 40, 60, 60):
            known.failed("127.0.0.1")
            await asyncio.sleep(longest_s - 0.01)
            assert known.is_suspect("127.0.0.1")
            assert await known.resolve() == ["127.0.0.2", "127.0.0.1"]
            await asyncio.sleep(0.02)
            assert not known.is_suspect("127.0.0.1")
        known.failed("127.0.0.1")

        known.answered("127.0.0.1")

        assert await known.resolve() == ["127.0.0.1", "127.0.0.2"]


@virtual_time
async def test_leaving_addresses_for_others() -> None:
    """There must be another against which nothing is known; one alone has none."""
    with pytest.MonkeyPatch.context() as patch:
        Names(patch, ["127.0.0.1", "127.0.0.2"])
        known = addresses()
        await known.resolve()

        assert known.leave(["127.0.0.1"])
        assert not known.leave(["127.0.0.2"])
        assert not addresses("127.0.0.1").leave([])


@virtual_time
async def test_name_servers_that_never_answer() -> None:
    """Looking up has a time of its own, and many calls share one look-up."""
    with pytest.MonkeyPatch.context() as patch:
        names = Names(patch, None)
        known = addresses()

        ended = await asyncio.gather(*(known.resolve() for _ in range(20)), return_exceptions=True)
        known.close()
        await asyncio.sleep(0)

    assert {type(error) for error in ended} == {TimeoutError}
    assert names.lookups == 1


@pytest.mark.parametrize("trouble", [None, socket.gaierror("no")], ids=["hangs", "fails"])
def test_old_addresses_are_better_than_none(trouble: Exception | None) -> None:
    """Once a name was known, name servers may break."""

    @virtual_time
    async def check() -> None:
        with pytest.MonkeyPatch.context() as patch:
            names = Names(patch, ["127.0.0.1"], trouble)
            known = addresses()
            await known.resolve()
            known.expire()

            assert await known.resolve() == ["127.0.0.1"]
            assert names.lookups == 2
            known.close()
            await asyncio.sleep(0)

    check()


@virtual_time
async def test_what_a_name_has_no_longer_is_not_among_its_addresses() -> None:
    """What was held against it is forgotten with it. An address is its own."""
    with pytest.MonkeyPatch.context() as patch:
        Names(patch, ["127.0.0.1"], ["127.0.0.2"])
        known = addresses()
        await known.resolve()
        assert "127.0.0.1" in known
        known.failed("127.0.0.1")

        await known.resolve()

        assert "127.0.0.1" not in known
        assert repr(known) == "<Addresses of far, 1>"
        assert "127.0.0.9" in addresses("127.0.0.1")


@virtual_time
async def test_a_resolver_that_hangs_holds_nobody_up_who_knows_addresses() -> None:
    """A health check has a second in all, and a request better things to do; what comes late is taken, too."""
    with pytest.MonkeyPatch.context() as patch:
        Names(patch, ["127.0.0.1"], None)
        known = addresses(timeout_s=30.0)
        await known.resolve()
        known.failed("127.0.0.1")
        loop = asyncio.get_running_loop()
        began = loop.time()

        for _ in range(3):
            assert await known.resolve() == ["127.0.0.1"]

        assert loop.time() - began < 0.5
        known.close()
        await asyncio.sleep(0)
