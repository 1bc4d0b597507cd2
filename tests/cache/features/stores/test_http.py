"""What a store over HTTP is asked, and which of its answers are vectors."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from typing import Any

import pytest

from cache.features.settings import KnownIdsSettings, StoreSettings
from cache.features.stores.http import (
    BINARY,
    HttpStore,
    Send,
    StoreAnswer,
    binary_outcomes,
    json_outcomes,
    most_body_bytes,
)
from cache.features.vectors import StoreError
from gateway.core.gate import GateSettings
from gateway.core.telemetry import Silence
from resilience.circuit import Circuit
from resilience.settings import BreakerSettings
from tests.cache.build import StepClock

VECTOR = struct.pack("<2f", 1.0, 2.0)
GATE = GateSettings(2, 1.0, 1.0)


class Peer:
    """Answers as ``answers`` say, the last for ever; an exception is raised, None hangs."""

    def __init__(self, *answers: StoreAnswer | BaseException | None) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str, bytes]] = []
        self.closed = False

    async def call(self, verb: str, path: str, headers: Mapping[str, str], body: bytes) -> StoreAnswer:
        assert "application/json" in headers["accept"]
        self.calls.append((verb, path, body))
        step = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if step is None:
            await asyncio.Event().wait()
        if isinstance(step, BaseException):
            raise step
        assert step is not None
        return step

    async def aclose(self) -> None:
        self.closed = True


def answer(body: Any, status: int = 200, kind: str = "application/json") -> StoreAnswer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return StoreAnswer(status, {"content-type": kind}, data)


def store(peer: Peer, **settings: Any) -> HttpStore:
    whole = StoreSettings(**{"http": "http://h:1/v1/vectors", "timeout_ms": 20, **settings})
    breaker = BreakerSettings(consecutive_5xx=2)
    gate = Circuit("features:users", breaker, StepClock(), Silence())
    return HttpStore(whole, Send(peer.call, peer.aclose), gate=gate)


async def test_json_and_binary() -> None:
    peer = Peer(
        answer({"vectors": [[1, 2], None, ["x"]]}),
        answer(
            struct.pack("<I", 8) + VECTOR + struct.pack("<I", 0) + struct.pack("<I3s", 3, b"abc"),
            kind=f"{BINARY}; x=y",
        ),
    )
    made = store(peer)

    for reason in ("garbage", "length"):
        outcomes = await made.fetch([b"a", b"b", b"c"])
        assert list(outcomes[:2]) == [VECTOR, None]
        assert isinstance(outcomes[2], StoreError)
        assert outcomes[2].reason == reason
    assert peer.calls[0] == ("POST", "/v1/vectors", b'{"ids":["a","b","c"]}')
    await made.aclose()
    assert peer.closed
    assert "vectors" in repr(made)


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b'{"vectors": [[1]]}', b'{"vectors": 1}', b"[" * 100_000, b"\xff", b'{"vectors": null}'],
)
def test_json_that_is_none(body: bytes) -> None:
    with pytest.raises(StoreError, match="garbage"):
        json_outcomes(body, 2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        struct.pack("<I", 0),
        struct.pack("<II", 0, 8) + VECTOR[:-1],
        struct.pack("<II", 0, 1 << 31),
        struct.pack("<III", 0, 0, 0),
        struct.pack("<II", 0, 0) + b"x",
    ],
)
def test_binary_that_is_none(body: bytes) -> None:
    with pytest.raises(StoreError, match="garbage"):
        binary_outcomes(body, 2)


async def test_a_store_that_fails_is_left_alone_for_a_while() -> None:
    """Two failures in a row shut the gate: then it is not asked at all."""
    peer = Peer(answer({}, 503), StoreError("refused"), answer({"vectors": [None]}))
    made = store(peer)

    for reason in ("status_503", "refused", "skipped", "skipped"):
        with pytest.raises(StoreError, match=reason):
            await made.fetch([b"a"])
    assert len(peer.calls) == 2


@pytest.mark.parametrize("status", [204, 301, 404, 500])
async def test_only_200_is_an_answer(status: int) -> None:
    with pytest.raises(StoreError, match="status"):
        await store(Peer(answer({"vectors": [None]}, status))).fetch([b"a"])


async def test_one_that_hangs_costs_its_time_limit() -> None:
    with pytest.raises(StoreError, match="timeout"):
        await store(Peer(None)).fetch([b"a"])


async def test_cancelled_it_is_no_evidence() -> None:
    made = store(Peer(None, None, None, answer({"vectors": [None]})), timeout_ms=1000)
    for _ in range(3):
        task = asyncio.create_task(made.fetch([b"a"]))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert list(await made.fetch([b"a"])) == [None]


async def test_ids_in_parts() -> None:
    peer = Peer(answer({"ids": ["a", "b"], "cursor": "x&1"}), answer({"ids": ["c"]}))
    made = store(peer, known_ids=KnownIdsSettings(path="/ids?kind=user"))

    assert [list(part) async for part in made.known_ids()] == [[b"a", b"b"], [b"c"]]
    assert [path for _, path, _ in peer.calls] == ["/ids?kind=user", "/ids?kind=user&cursor=x%261"]

    with pytest.raises(StoreError, match="garbage"):
        _ = [part async for part in store(Peer(answer({"ids": [1]}))).known_ids()]


async def test_feast_is_asked_below_its_url() -> None:
    peer = Peer(
        answer(
            {
                "metadata": {"feature_names": ["id", "a"]},
                "results": [{"values": ["x"]}, {"values": [[1, 2]], "statuses": ["PRESENT"]}],
            }
        )
    )
    made = store(peer, http="http://h:6566", protocol="feast", features=("v:a",))

    assert list(await made.fetch([b"x"])) == [VECTOR]
    assert peer.calls[0][1] == "/get-online-features"


def test_answers_are_bounded() -> None:
    small = StoreSettings(http="http://h", max_batch=1, max_vector_bytes=4)
    assert 1 << 20 < most_body_bytes(small) < 2 << 20
    assert most_body_bytes(StoreSettings(http="http://h", max_vector_bytes=1 << 20)) == 64 << 20
