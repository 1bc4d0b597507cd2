"""The demo's clients: they go to the nearest gateway, to the next one while it is away, and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from edge_models.samples.digits import load_split
from gateway.commands.demo import player
from gateway.commands.demo.player import Clients, ListedGateway, PlayerSpec, play
from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.request import Provenance, Request, Response
from gateway.core.tensor import Tensor
from gateway.telemetry.provenance import ProvenanceParameters
from tests.fakes.data_plane import FakeCatalog
from tests.fakes.http import serving
from tests.fakes.redis_server import free_port
from tests.fakes.stack import stack

DIGITS = ModelSpec(
    "digits",
    ("1",),
    "onnxruntime_onnx",
    (TensorSpec("image", "FP32", (-1, 784)),),
    (TensorSpec("probabilities", "FP32", (-1, 10)),),
)
SEVEN = np.eye(10, dtype=np.float32)[7:8]


async def answers_seven(request: Request) -> Response:
    outputs = (Tensor.from_numpy("probabilities", SEVEN),)
    return Response(request.model, "1", outputs, Provenance("edge", region="there", certified=True))


@asynccontextmanager
async def gateway() -> AsyncIterator[ListedGateway]:
    service = stack(ProvenanceParameters("there", 1), service=answers_seven)
    async with serving(service, catalog=FakeCatalog(DIGITS), region="there") as listener:
        address = f"127.0.0.1:{listener.port}"
        yield ListedGateway("there", address, address)


def closed() -> ListedGateway:
    """A gateway that is away: nobody listens."""
    address = f"127.0.0.1:{free_port()}"
    return ListedGateway("here", address, address)


def spec(*targets: ListedGateway, requests: int = 8) -> PlayerSpec:
    return PlayerSpec("here", list(targets), ["192.0.2.1"], requests, 1e6, 4, 1, "rows.bin")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "PROBE_S", 0.01)


async def test_every_answer_is_a_row_that_says_where_it_came_from() -> None:
    """Over both protocols."""
    async with gateway() as target:
        rows = await play(spec(target))

    images, _ = load_split("test")
    assert len(rows) == 8
    assert {row.protocol for row in rows} == {"http", "grpc"}
    assert {(row.predicted, row.provenance, row.served_by, row.certified, row.attempt) for row in rows} == {
        (7, "edge", "there", True, 0)
    }
    assert all(row.began <= row.ended and 0 <= row.image < len(images) for row in rows)


async def test_next_gateway_is_tried_while_the_nearest_is_away() -> None:
    """The failed attempt is a row, too."""
    async with gateway() as target:
        rows = await play(spec(closed(), target))

    good = [row for row in rows if not row.error]
    failed = [row for row in rows if row.error]
    assert len(good) == 8
    assert {row.served_by for row in good} == {"there"}
    assert 1 <= len(failed) <= 4  # those that ran at once: later ones know that it is away
    assert {(row.attempt, row.predicted, row.served_by) for row in failed} == {(0, -1, "here")}


async def test_request_that_no_gateway_answers_ends_after_one_attempt_for_each() -> None:
    rows = await play(spec(closed(), closed(), requests=1))

    assert [row.attempt for row in rows] == [0, 1]
    assert all(row.error for row in rows)


async def test_clients_come_back_once_the_gateway_is_ready() -> None:
    async with gateway() as target:
        clients = Clients([target, closed()])
        watch = asyncio.create_task(clients.watch())
        try:
            clients.failed(0)
            assert clients.choose() == 1
            async with asyncio.timeout(30):
                while clients.choose() != 0:
                    await asyncio.sleep(0.001)
        finally:
            watch.cancel()
            await clients.aclose()
