"""Labels of central's models, over real sockets: tritonclient at an edge, with a cache and Redis between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.app.gateway import Gateway
from tests.edge_models import onnx_models
from tests.fakes.redis_server import RedisServer, free_port
from tests.scenarios.test_configured_models import CLASSES, KINDS, tensor
from tests.scenarios.test_response_cache import POLICY, digest_of
from tests.scenarios.test_sequences import CENTRAL, EDGE, serve

IMAGES = np.eye(3, 4, dtype=np.float32).reshape(3, 2, 2)


@asynccontextmanager
async def edges(
    tmp_path: Path, protocol: str, redis: str = "", count: int = 1
) -> AsyncIterator[list[Gateway]]:
    """Edges before one central tier whose model has labels."""
    models = tmp_path / "models"
    onnx_models.write(models, "classes", onnx_models.softmax())
    (models / "classes" / "config.pbtxt").write_text(CLASSES)
    (models / "classes" / "labels.txt").write_text("cat\ndog\n")
    ports = {"http": free_port(), "grpc": free_port()}
    async with AsyncExitStack() as lifetimes:
        await serve(tmp_path / "central", CENTRAL.format(repository=models, **ports), lifetimes)
        made = []
        for number in range(count):
            folder = tmp_path / f"edge{number}"
            folder.mkdir()
            text = POLICY.format(
                protocol=protocol, port=ports[protocol], digest=digest_of(models), cache="{}"
            )
            (folder / "policy.yaml").write_text(text)
            cache = f"cache: {{memory: {{max_bytes: 1048576}}{redis}}}"
            made.append(
                await serve(folder, EDGE.replace("cache: {memory: {max_bytes: 1048576}}", cache), lifetimes)
            )
        yield made


@asynccontextmanager
async def client(gateway: Gateway, kind: str) -> AsyncIterator[tuple[Any, Any]]:
    port = getattr(gateway.servers, kind).port
    async with KINDS[kind].InferenceServerClient(f"127.0.0.1:{port}") as opened:
        yield KINDS[kind], opened


async def classes(asked: tuple[Any, Any], count: int = 1, **changes: Any) -> tuple[list[str], Any]:
    module, opened = asked
    wanted = [
        module.InferRequestedOutput("probabilities", class_count=count),
        module.InferRequestedOutput("label"),
    ]
    answer = await opened.infer("classes", tensor(module, "image", IMAGES), outputs=wanted, **changes)
    texts = [text.decode().split(":", 1)[1] for text in answer.as_numpy("probabilities").ravel()]
    return texts, answer


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("kind", KINDS)
async def test_classes_have_centrals_labels(tmp_path: Path, kind: str, protocol: str) -> None:
    """The first time, out of the cache, for another count; the output itself is another answer."""
    async with edges(tmp_path, protocol) as [gateway], client(gateway, kind) as asked:
        for _ in range(3):
            texts, answer = await classes(asked)
            assert texts == ["0:cat", "1:dog", "2"]
            assert answer.as_numpy("probabilities").shape == (3, 1)
            assert answer.as_numpy("label").tolist() == [[0], [1], [2]]
            output = answer.get_output("probabilities")
            parameters = output["parameters"] if kind == "http" else output.parameters
            assert "classification" not in parameters
        two, _ = await classes(asked, count=2)
        module, opened = asked
        whole = await opened.infer("classes", tensor(module, "image", IMAGES))
        metrics = gateway.prometheus.render().decode()

    assert len(two) == 6 and two[0] == "0:cat" and two[2] == "1:dog"
    assert whole.as_numpy("probabilities").dtype == np.float32
    assert 'edgeway_cache_lookups_total{level="l1",outcome="hit"} 2.0' in metrics


@pytest.mark.parametrize("kind", KINDS)
async def test_labels_come_out_of_redis_as_well(tmp_path: Path, kind: str, redis: RedisServer) -> None:
    """What one edge has kept another one gives."""
    level = f", redis: {{url: '{redis.url}'}}, key_secret: {'ab' * 16}"
    async with edges(tmp_path, "grpc", level, count=2) as [one, two]:
        async with client(one, kind) as asked:
            first, _ = await classes(asked)
        async with client(two, kind) as asked:
            second, _ = await classes(asked)
        metrics = two.prometheus.render().decode()

    assert first == second == ["0:cat", "1:dog", "2"]
    assert 'edgeway_cache_lookups_total{level="l2",outcome="hit"} 1.0' in metrics
