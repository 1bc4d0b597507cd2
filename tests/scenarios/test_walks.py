"""Which files are visited on six ways: docs/architecture.md tells these walks, and they are measured here."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http_client

from edge_models.registry import Registry
from edge_models.samples import digits
from edge_models.settings import ModelsSettings
from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from tests.edge_models.sequences import models
from tests.edge_models.sequences.steps import START, predictor, step
from tests.fakes.application import connection
from tests.fakes.http import INFER, post, read_answer
from tests.scenarios.world import CONFIDENT, PIXELS, UNSURE, World, until

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"
OURS = ("gateway", "routing", "cache", "resilience", "edge_models")
_FILE = re.compile(r"\b(?:gateway|routing|cache|resilience|edge_models)/[\w/]+\.py")


@contextmanager
def walk() -> Iterator[list[str]]:
    """Note our files in the order in which they are entered by this thread; filled when the block ends."""
    files: dict[str, None] = {}
    names: dict[str, str | None] = {}

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            file = frame.f_code.co_filename
            if file not in names:
                names[file] = name_of(file)
            if (name := names[file]) is not None:
                files.setdefault(name)

    visited: list[str] = []
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield visited
    finally:
        sys.setprofile(before)
        visited.extend(files)


def name_of(file: str) -> str | None:
    """The file's path in the repository; None when it is nobody of ours."""
    path = Path(file)
    if not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT)
    return str(name) if name.parts[0] in OURS else None


class CentralElsewhere(World):
    """A world whose central tier runs in a thread of its own, so that no walk leads through it."""

    async def start_central(self) -> None:
        self._leave = threading.Event()
        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        async def serve() -> None:
            async with GatewayProcess(load_settings(self.folder / "central.yaml", {})).serving():
                loop.call_soon_threadsafe(ready.set)
                await asyncio.to_thread(self._leave.wait)

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()))
        self._thread.start()
        await ready.wait()

    async def stop_central(self) -> None:
        self._leave.set()
        await asyncio.to_thread(self._thread.join)


def infer_body(image: int) -> tuple[bytes, dict[str, str]]:
    """A request with binary data in and out, as tritonclient sends it."""
    wanted = http_client.InferInput(digits.INPUT, [1, 784], "FP32")
    wanted.set_data_from_numpy(np.ascontiguousarray(PIXELS[image : image + 1]))
    body, length = http_client.InferenceServerClient.generate_request_body([wanted])
    return body, {"Inference_Header_Content_Length": str(length)}


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Any]:
    async with connection(port) as (reader, writer):

        async def infer(image: int) -> Any:
            body, headers = infer_body(image)
            writer.write(post(INFER, body, **headers))
            return await read_answer(reader)

        yield infer
        writer.close()


async def infer_grpc(port: int, image: int) -> Any:
    async with grpc_aio.InferenceServerClient(f"127.0.0.1:{port}") as client:
        wanted = grpc_aio.InferInput(digits.INPUT, [1, 784], "FP32")
        wanted.set_data_from_numpy(np.ascontiguousarray(PIXELS[image : image + 1]))
        return await client.infer(digits.MODEL, [wanted])


async def warm_up(world: World) -> None:
    """Ask once; the end of that connection, which may come late, is no part of the walk that follows."""
    listener = world.edge.servers.grpc
    await infer_grpc(listener.port, CONFIDENT)
    await until(lambda: not listener.context.registry)


def in_documents_order(documented: list[str], visited: list[str]) -> list[str]:
    """The documented files in the order in which they were entered."""
    return [name for name in visited if name in documented]


def documented_walk(title: str) -> list[str]:
    """The files that docs/architecture.md names for one walk, in its order."""
    section = DOCUMENT.read_text().split(f"### {title}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    return [name for line in section.splitlines() if line[:1].isdigit() for name in _FILE.findall(line)]


async def test_an_http_hit(tmp_path: Path) -> None:
    """At most 20 files outside the HTTP engine answer a request out of memory."""
    async with CentralElsewhere(tmp_path) as world, connected(world.edge.servers.http.port) as infer:
        # The first is a miss, the third shows that this is a series, from then on it is known.
        for _ in range(4):
            await infer(CONFIDENT)
        with walk() as visited:
            answer = await infer(CONFIDENT)

    assert answer.headers["x-edgeway-provenance"].startswith("cache")
    assert visited == documented_walk("An HTTP hit")
    assert len([name for name in visited if not name.startswith("gateway/http/")]) <= 20


async def test_a_grpc_miss_deferred_to_central(tmp_path: Path) -> None:
    """The edge model is not sure enough."""
    async with CentralElsewhere(tmp_path) as world:
        await warm_up(world)
        with walk() as visited:
            await infer_grpc(world.edge.servers.grpc.port, UNSURE)

    documented = documented_walk("A gRPC miss that is deferred to central")
    assert in_documents_order(documented, visited) == documented


async def test_a_reload(tmp_path: Path) -> None:
    """Another policy comes into force; what is read in a thread is not seen here."""
    async with CentralElsewhere(tmp_path) as world:
        world.write_policy(2)
        with walk() as visited:
            await world.edge.reload()
        assert world.edge.generation().number == 2

    documented = documented_walk("A reload")
    assert in_documents_order(documented, visited) == documented


async def test_an_upstream_fault(tmp_path: Path) -> None:
    """Central is gone: the edge answers by itself, uncertified, as the route has it."""
    async with CentralElsewhere(tmp_path) as world:
        await warm_up(world)
        await world.stop_central()
        with walk() as visited:
            await infer_grpc(world.edge.servers.grpc.port, UNSURE)

    documented = documented_walk("An upstream fault")
    assert in_documents_order(documented, visited) == documented


async def test_a_folder_becomes_a_model_and_answers_a_step(tmp_path: Path) -> None:
    """The model has state, so that its folder is read in every way, and a request is a step."""
    models.write(tmp_path, "sums", models.accumulator(), models.config(models.CONTROLS + models.STATE))
    with walk() as loaded:
        registry = Registry.load(ModelsSettings(repository=str(tmp_path)))
    subject = predictor(registry)
    with walk() as answered:
        await subject(step(1, **START))
    await subject.close()

    for title, visited in (("A folder becomes a model", loaded), ("A step of a sequence", answered)):
        documented = documented_walk(title)
        assert in_documents_order(documented, visited) == documented
