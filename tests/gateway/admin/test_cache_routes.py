"""/cache of the admin port."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from gateway.admin.cache_routes import cache_routes
from gateway.admin.listener import AdminListener
from gateway.core.cache_inspection import CacheQuestion, Inspection
from gateway.core.cache_report import CacheReport
from gateway.core.errors import Fault, GatewayError
from tests.fakes.operator import nothing


class Cache:
    """Keeps questions; knows ``digits`` alone."""

    def __init__(self) -> None:
        self.tops: list[int] = []
        self.questions: list[CacheQuestion] = []

    async def report(self, top: int) -> CacheReport:
        self.tops.append(top)
        return CacheReport(enabled=True, gates={"redis": "open"})

    async def inspect(self, question: CacheQuestion) -> Inspection:
        if question.model != "digits":
            raise GatewayError(Fault.NOT_FOUND, f"unknown model '{question.model}'")
        self.questions.append(question)
        return Inspection(key="ab", route="digits")


@pytest.fixture
async def admin():
    cache = Cache()
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=cache_routes(cache))
    await listener.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.port}") as session:
        yield session, cache
    await listener.aclose()


async def test_the_report_and_how_many_it_names(admin) -> None:
    """Ten models and tenants, or as many as are asked for."""
    session, cache = admin
    async with session.get("/cache") as answer, session.get("/cache?top=0") as few:
        assert (await answer.json())["gates"] == {"redis": "open"}
        assert few.status == 200

    assert sorted(cache.tops) == [0, 10]


@pytest.mark.parametrize("top", ["-1", "1e3", "", "9999", "9" * 5000, "٣", "a"])
async def test_a_number_that_is_none(admin, top: str) -> None:
    """It is refused before anything is counted."""
    session, cache = admin
    async with session.get("/cache", params={"top": top}) as answer:
        assert answer.status == 400
        assert "0 to" in (await answer.json())["error"]

    assert cache.tops == []


async def test_a_question(admin) -> None:
    """It is answered, or the error says what is unknown."""
    session, cache = admin
    asked: dict[str, Any] = {"model": "digits", "tenant": "acme", "request": {"inputs": []}}
    async with session.post("/cache/inspect", json=asked) as answer:
        assert (await answer.json())["key"] == "ab"
    async with session.post("/cache/inspect", json={**asked, "model": "faces"}) as answer:
        assert answer.status == 404

    [question] = cache.questions
    assert (question.tenant, bytes(question.request)) == ("acme", b'{"inputs": []}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"keys": "ab"}',
        b'{"key": "ab"}',
        b'{"headers": [1]}',
        b"\xff",
        b'{"request": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=len,
)
async def test_what_is_no_question(admin, body: bytes) -> None:
    """It is refused and changes nothing; the error names the fields."""
    session, cache = admin
    async with session.post("/cache/inspect", data=body) as answer:
        assert answer.status == 400

    assert cache.questions == []


async def test_reading_needs_the_right_method(admin) -> None:
    session, _ = admin
    async with session.post("/cache") as one, session.get("/cache/inspect") as other:
        assert (one.status, other.status) == (405, 405)
