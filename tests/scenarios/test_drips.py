"""A thousand peers that say a byte a second, to a gateway with default limits that others are asking, too."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fakes.application import connection
from tests.fakes.http import read_answer
from tests.fakes.served import BODY, INFER, Served

pytestmark = pytest.mark.e2e

DRIPS = 1000
ADDRESSES = 4
GOOD = 4
ALONE_S = 2.0
PATIENCE_S = 150.0
"""How long a drip goes on when nobody cuts it; the limits are 10 s each by default."""
LATEST_S = 100.0
"""10 s, and many times what a sweep four times a second and a thousand goodbyes take."""
HEAD = b"POST %b HTTP/1.1\r\nHost: a\r\n" % INFER.encode()
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
BEGINNINGS = {"head": HEAD + b"X-Slow: ", "body": HEAD + b"Content-Length: 100000\r\n\r\n"}


class Cut(NamedTuple):
    """How a drip ended: after how long, and with which word; ``None`` when it was not cut."""

    after_s: float | None
    status: str


async def drip(port: int, kind: str, address: str) -> Cut:
    """Begin a request and go on with a byte a second, until somebody has enough of it."""
    async with connection(port, local_addr=(address, 0)) as (reader, writer):
        began = time.monotonic()
        answer = b""
        writer.write(BEGINNINGS[kind])
        try:
            while time.monotonic() - began < PATIENCE_S:
                try:
                    async with asyncio.timeout(1):
                        part = await reader.read(1 << 12)
                except TimeoutError:
                    writer.write(b"x")
                    continue
                if not part:
                    return Cut(time.monotonic() - began, answer[9:12].decode())
                answer += part
        except ConnectionError:
            return Cut(time.monotonic() - began, answer[9:12].decode())
        finally:
            writer.transport.abort()
        return Cut(None, answer[9:12].decode())


async def ask(port: int, until: asyncio.Event) -> list[float]:
    """Ask again and again over one connection; return how long each answer took."""
    async with connection(port) as (reader, writer):
        took = []
        try:
            while not until.is_set():
                began = time.monotonic()
                writer.write(REQUEST)
                answer = await read_answer(reader)
                assert answer.status == 200, answer.body
                took.append(time.monotonic() - began)
                await asyncio.sleep(0.02)
        finally:
            writer.close()
        return took


async def alone(port: int) -> list[float]:
    """The times of good answers while nobody drips."""
    is_over = asyncio.Event()
    asyncio.get_running_loop().call_later(ALONE_S, is_over.set)
    return in_order(await asyncio.gather(*(ask(port, is_over) for _ in range(GOOD))))


def in_order(took: list[list[float]]) -> list[float]:
    return sorted(second for each in took for second in each)


def p99(took: list[float]) -> float:
    return took[len(took) * 99 // 100]


async def play(port: int) -> tuple[list[Cut], list[float]]:
    """Return how each drip ended, and the times of all good answers, in order of their size."""
    is_over = asyncio.Event()
    clients = [asyncio.create_task(ask(port, is_over)) for _ in range(GOOD)]
    kinds = list(BEGINNINGS)
    cuts = await asyncio.gather(
        *(
            drip(port, kinds[number % len(kinds)], f"127.0.0.{2 + number % ADDRESSES}")
            for number in range(DRIPS)
        )
    )
    is_over.set()
    return cuts, in_order(await asyncio.gather(*clients))


def test_drips_are_cut_while_others_are_answered(tmp_path: Path) -> None:
    """Heads and bodies alike end within their 10 s, each with a 408; nobody else is refused or kept waiting."""
    with Served(tmp_path) as served:
        served.wait_ready()
        before = asyncio.run(alone(served.http))
        cuts, took = asyncio.run(play(served.http))
        served.wait(lambda: served.get(served.admin, "/readyz")[0] == 200)

    assert len(cuts) == DRIPS
    assert [cut for cut in cuts if cut.after_s is None or not 5 < cut.after_s < LATEST_S] == []
    assert {cut.status for cut in cuts} == {"408"}
    print(f"p99 of good answers: {p99(before) * 1e3:.1f} ms alone, {p99(took) * 1e3:.1f} ms among drips")
    assert len(took) > GOOD * 20
