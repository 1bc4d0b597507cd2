"""Health checks of a name: every address is asked, and one that is well is enough."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Why
from gateway.core.verdict import Verdict
from gateway.http.client.addresses import Addresses
from gateway.upstreams.address_checks import check_all
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.listener import listener_of
from tests.fakes.names import Names
from tests.fakes.service import request
from tests.fakes.virtual_time import virtual_time

NOT_READY = Verdict(Why("not_ready", "loading", answered=True))
REFUSED = Verdict(Why("refused"))
ONE, TWO = "127.0.0.1", "127.0.0.2"


async def checked(answers: dict[str, Verdict | float]) -> tuple[Verdict, list[str], float]:
    """Check a name whose addresses answer so, or say after so many seconds that they are well.

    Returns the verdict, the order of the addresses afterwards, and how long it took.
    """
    with pytest.MonkeyPatch.context() as patch:
        Names(patch, list(answers))
        addresses = Addresses("far", 1, timeout_s=1.0, refresh_s=5.0)
        began = asyncio.get_running_loop().time()

        async def check(address: str) -> Verdict:
            answer = answers[address]
            if isinstance(answer, Verdict):
                return answer
            await asyncio.sleep(answer)
            return Verdict()

        found = await check_all(addresses, check)
        return found, await addresses.resolve(), asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("first", [NOT_READY, REFUSED, 1000.0], ids=["not ready", "refused", "hangs"])
def test_one_that_is_well_is_enough(first: Verdict | float) -> None:
    """Whatever the first one does; and what comes next goes to the one that is well."""

    @virtual_time
    async def check() -> None:
        assert await checked({ONE: first, TWO: 0.1}) == (Verdict(), [TWO, ONE], pytest.approx(0.1))

    check()


@virtual_time
async def test_where_none_is_well_what_was_answered_counts() -> None:
    """Somebody is there: a call may be worth trying. And nobody waits for those who hang."""
    verdict, _, took_s = await checked({ONE: 1000.0, TWO: NOT_READY, "127.0.0.3": REFUSED})

    assert verdict == NOT_READY
    assert took_s < 1.0


@virtual_time
async def test_what_we_lack_is_no_verdict_unless_another_has_one() -> None:
    """Descriptors, say."""
    assert (await checked({ONE: Verdict(ours=True)}))[0] == Verdict(ours=True)
    assert (await checked({ONE: REFUSED, TWO: Verdict(ours=True)}))[0] == REFUSED


@virtual_time
async def test_a_name_that_nobody_knows() -> None:
    """There is nobody to be asked."""
    with pytest.MonkeyPatch.context() as patch:
        Names(patch, OSError("no such name"))
        addresses = Addresses("far", 1, timeout_s=1.0, refresh_s=5.0)

        async def check(_address: str) -> Verdict:
            return Verdict()

        assert await check_all(addresses, check) == Verdict(Why("unresolved"))


def free_at_both() -> int:
    """A port that nobody has at either address; other tests have connections of their own."""
    while True:
        with socket.create_server((TWO, 0)) as taken, suppress(OSError):
            port: int = taken.getsockname()[1]
            with socket.create_server((ONE, port)):
                return port


@asynccontextmanager
async def one_that_hangs(port: int) -> AsyncIterator[None]:
    """Somebody at the first address who takes connections and says nothing."""
    silent: list[asyncio.StreamWriter] = []

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    server = await asyncio.start_server(hang, ONE, port)
    yield
    server.close()
    for writer in silent:
        writer.close()


@pytest.mark.parametrize("wire", ["http", "grpc"])
@pytest.mark.parametrize("first", ["hangs", "not ready"])
async def test_the_second_address_of_a_name_is_found_to_be_well(monkeypatch, wire, first):
    """Over both wires; the next request goes there."""
    Names(monkeypatch, [ONE, TWO])
    well = listener_of(fake_data_plane(EchoService()))
    await well.start(TWO, free_at_both())
    unready = listener_of(fake_data_plane(EchoService(), is_ready=lambda: False))
    target = f"far:{well.port}"
    upstream: HttpUpstream | GrpcUpstream = (
        HttpUpstream("far", f"http://{target}", LoopClock())
        if wire == "http"
        else GrpcUpstream("far", target, LoopClock())
    )

    async def found() -> Verdict:
        async with asyncio.timeout(30):
            verdict = await upstream.check()
            await upstream(request())
            return verdict

    if first == "hangs":
        async with one_that_hangs(well.port):
            assert await found() == Verdict()
    else:
        await unready.start(ONE, well.port)
        assert await found() == Verdict()
    await upstream.aclose()
    await well.aclose()
    await unready.aclose()
