"""tritonclient, unmodified, all four of its kinds, against `edgeway serve`: every public call that applies."""

from __future__ import annotations

import asyncio
import inspect
import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_sync
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http_sync
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

from edge_models.samples import digits
from gateway.wire.oip.metadata import EXTENSIONS
from tests.fakes.operator import BEARER, TOKEN
from tests.fakes.served import Served
from tests.scenarios.world import CONFIDENT, PIXELS

pytestmark = pytest.mark.e2e

KINDS = {"http": http_sync, "http.aio": http_aio, "grpc": grpc_sync, "grpc.aio": grpc_aio}
DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
IMAGE = PIXELS[CONFIDENT : CONFIDENT + 1]


@pytest.fixture(scope="module", params=["an operator's port", "a public port"])
def served(request, tmp_path_factory) -> Iterator[Served]:
    """A gateway whose port takes an operator's calls, and one whose port does not."""
    is_admin = request.param == "an operator's port"
    protocol = f"protocol: {{admin_calls: {'true' if is_admin else 'false'}, share_statistics: true}}"
    listen = f"{protocol}, admin_access: {{tokens_sha256: [{sha256(TOKEN.encode()).hexdigest()}]}}"
    with Served(tmp_path_factory.mktemp("served"), listen=listen) as gateway:
        gateway.wait_ready()
        gateway.is_admin = is_admin
        yield gateway


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


class Client:
    """One client of a kind, sync or not, called alike; gRPC's answers as JSON where there is a choice."""

    def __init__(self, kind: str, client: Any) -> None:
        self.module, self.is_grpc, self.raw = KINDS[kind], kind.startswith("grpc"), client

    async def __call__(self, name: str, *args: Any, **options: Any) -> Any:
        method = getattr(self.raw, name)
        if "as_json" in inspect.signature(method).parameters:
            options["as_json"] = True
        reported = method(*args, **options)
        return await reported if inspect.isawaitable(reported) else reported

    async def refused(self, name: str, *args: Any, **options: Any) -> InferenceServerException:
        with pytest.raises(InferenceServerException) as caught:
            await self(name, *args, **options)
        return caught.value

    def image(self, rows: np.ndarray = IMAGE) -> list[Any]:
        entry = self.module.InferInput(digits.INPUT, list(rows.shape), "FP32")
        entry.set_data_from_numpy(rows)
        return [entry]


@asynccontextmanager
async def connected(kind: str, served: Served) -> AsyncIterator[Client]:
    raw = KINDS[kind].InferenceServerClient(f"127.0.0.1:{served.grpc if 'grpc' in kind else served.http}")
    try:
        yield Client(kind, raw)
    finally:
        closing = raw.close()
        if inspect.isawaitable(closing):
            await closing


async def test_questions(served, kind):
    """Health, readiness, metadata and configuration."""
    async with connected(kind, served) as ask:
        assert await ask("is_server_live")
        assert await ask("is_server_ready")
        assert await ask("is_model_ready", "digits")
        assert await ask("is_model_ready", "digits", "1")
        assert not await ask("is_model_ready", "unknown")
        server = await ask("get_server_metadata")
        model = await ask("get_model_metadata", "digits", "1")
        config = await ask("get_model_config", "digits")
        unknown = await ask.refused("get_model_metadata", "unknown")

    assert (server["name"], tuple(server["extensions"])) == ("edgeway", EXTENSIONS)
    assert (model["name"], model["versions"], model["inputs"][0]["datatype"]) == ("digits", ["1"], "FP32")
    assert [int(size) for size in model["inputs"][0]["shape"]] == [-1, 784]
    config = config["config"] if ask.is_grpc else config
    assert config["name"] == "digits"
    assert config["max_batch_size"] > 0
    assert config["input"][0]["data_type"] == "TYPE_FP32"
    assert unknown.status() == ("StatusCode.NOT_FOUND" if ask.is_grpc else "404")
    assert "unknown" in unknown.message()


async def test_statistics(served, kind):
    """All that perf_analyzer reads is there, for one model and for all, and counts."""
    async with connected(kind, served) as ask:
        before = (await ask("get_inference_statistics", "digits", "1"))["model_stats"][0]
        await ask("infer", "digits", ask.image())
        after = (await ask("get_inference_statistics", "digits", "1"))["model_stats"][0]
        everything = (await ask("get_inference_statistics"))["model_stats"]
        unknown = await ask.refused("get_inference_statistics", "unknown")

    # proto3's JSON leaves out what is 0; over HTTP every field is there, as perf_analyzer wants it.
    if not ask.is_grpc:
        for name in ("last_inference", "inference_count", "execution_count"):
            assert type(after[name]) is int
        for name in (*DURATIONS, "cache_hit", "cache_miss"):
            assert set(before["inference_stats"][name]) == {"count", "ns"}
        for batch in after["batch_stats"]:
            assert set(batch) >= {"batch_size", "compute_input", "compute_infer", "compute_output"}
    counts = [
        int(reported["inference_stats"].get("success", {}).get("count", 0)) for reported in (before, after)
    ]
    assert counts[1] == counts[0] + 1
    assert {reported["name"] for reported in everything} == {"digits"}
    assert unknown.status() == ("StatusCode.NOT_FOUND" if ask.is_grpc else "404")


async def test_repository(served, kind):
    """The index lists what there is; an operator may change it, and nobody else."""
    async with connected(kind, served) as ask:

        async def states() -> list[tuple[str, ...]]:
            index = await ask("get_model_repository_index")
            entries = index.get("models", []) if ask.is_grpc else index
            return [tuple(entry[name] for name in ("name", "version", "state")) for entry in entries]

        assert await states() == [("digits", "1", "READY")]
        if served.is_admin:
            stranger = await ask.refused("unload_model", "digits")
            assert stranger.status() in {"401", "StatusCode.UNAUTHENTICATED"}
            await ask("unload_model", "digits", headers=BEARER)
            assert await states() == [("digits", "1", "UNAVAILABLE")]
            # All that is left is the central tier, which does not exist.
            refused = await ask.refused("infer", "digits", ask.image())
            assert refused.status() in {"503", "StatusCode.UNAVAILABLE"}
            await ask("load_model", "digits", headers=BEARER)
            unknown = await ask.refused("load_model", "nobody", headers=BEARER)
            odd = await ask.refused("load_model", "digits", config='{"backend": "python"}', headers=BEARER)
            files = {"file:7/model.onnx": digits.model_path(digits.EDGE_REPOSITORY).read_bytes()}
            alone = await ask.refused("load_model", "digits", files=files, headers=BEARER)
            assert "failed to load 'nobody'" in unknown.message()
            assert "failed to load 'digits'" in odd.message()
            assert "failed to load 'digits'" in alone.message()
            await ask("load_model", "digits", config="{}", files=files, headers=BEARER)
            assert await states() == [("digits", "7", "READY")]
            await ask("load_model", "digits", headers=BEARER)
        else:
            load = await ask.refused("load_model", "digits")
            unload = await ask.refused("unload_model", "digits")
        assert await states() == [("digits", "1", "READY")]
        assert await ask("is_model_ready", "digits")

    if not served.is_admin:
        statuses = {load.status(), unload.status()}
        assert statuses == {"StatusCode.PERMISSION_DENIED" if ask.is_grpc else "403"}
        assert "loading models is not allowed on this port" in load.message()


def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """gRPC's settings as HTTP has them."""
    settings = settings.get("settings", settings)
    return {
        name: next(iter(value.values()), "") if isinstance(value, dict) else value
        for name, value in settings.items()
    }


async def test_log_settings(served, kind):
    """They are read by anybody and changed by an operator."""
    async with connected(kind, served) as ask:
        before = plain(await ask("get_log_settings"))
        if served.is_admin:
            changed = plain(await ask("update_log_settings", {"log_verbose_level": 1}, headers=BEARER))
            after = plain(await ask("update_log_settings", {"log_verbose_level": 0}, headers=BEARER))
            wrong = await ask.refused("update_log_settings", {"nonsense": 1}, headers=BEARER)
            assert (changed["log_verbose_level"], after) == (1, before)
            assert "unknown log setting 'nonsense'" in wrong.message()
        else:
            refused = await ask.refused("update_log_settings", {"log_verbose_level": 1})
            assert "not allowed on this port" in refused.message()

    assert before["log_error"] is True
    assert before["log_format"] == "default"


async def test_trace_settings(served, kind):
    """They are read by anybody, of all and of one model; where nothing can be traced, nothing is changed."""
    async with connected(kind, served) as ask:
        everywhere = plain(await ask("get_trace_settings"))
        here = plain(await ask("get_trace_settings", "digits"))
        unknown = await ask.refused("get_trace_settings", "unknown")
        key = BEARER if served.is_admin else None
        changed = await ask.refused("update_trace_settings", settings={"trace_rate": "7"}, headers=key)

    assert everywhere == here
    assert everywhere["trace_level"] == ["OFF"]
    assert "unknown" in unknown.message()
    assert ("without a collector" if served.is_admin else "not allowed on this port") in changed.message()


async def test_shared_memory(served, kind):
    """There is none, in so many words; clients begin by unregistering all of it, which is no error."""
    async with connected(kind, served) as ask:
        for memory in ("system", "cuda"):
            regions = await ask(f"get_{memory}_shared_memory_status")
            assert not (regions.get("regions") if ask.is_grpc else regions)
            unknown = await ask.refused(f"get_{memory}_shared_memory_status", "r")
            assert f"Unable to find {memory} shared memory region: 'r'" in unknown.message()
            assert unknown.status() == ("StatusCode.NOT_FOUND" if ask.is_grpc else "404")
            await ask(f"unregister_{memory}_shared_memory")
            await ask(f"unregister_{memory}_shared_memory", "r")
        refusals = [
            await ask.refused("register_system_shared_memory", "r", "/k", 64),
            await ask.refused("register_cuda_shared_memory", "r", b"aGFuZGxl", 0, 64),
        ]

    for refusal in refusals:
        assert "shared memory with clients is not supported" in refusal.message()
        assert refusal.status() == ("StatusCode.UNIMPLEMENTED" if ask.is_grpc else "501")


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
async def test_inference(served, kind, coding):
    """Everything that a request may say, in each compression, with the answer of the model."""
    rows = PIXELS[:64]
    options: dict[str, Any] = {
        "model_version": "1",
        "request_id": "r-1",
        "priority": 1,
        "timeout": 20_000_000,
        "parameters": {"note": "x"},
        "headers": {"x-request-timeout-ms": "20000"},
    }
    step = {"sequence_id": 42, "sequence_start": True, "sequence_end": True}
    async with connected(kind, served) as ask:
        if coding and ask.is_grpc:
            options["compression_algorithm"] = coding
        elif coding:
            options |= {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
        output = ask.module.InferRequestedOutput("probabilities")
        classes = ask.module.InferRequestedOutput("probabilities", class_count=2)
        result = await ask("infer", "digits", ask.image(rows[:8]), outputs=[output], **options)
        best = await ask("infer", "digits", ask.image(rows[:1]), outputs=[classes])
        # A step of a sequence is central's alone, and here is none.
        alone = await ask.refused("infer", "digits", ask.image(rows[:1]), **step)

    assert alone.status() == ("StatusCode.UNAVAILABLE" if ask.is_grpc else "503")
    response = result.get_response()
    assert (response.id if ask.is_grpc else response["id"]) == "r-1"
    probabilities = result.as_numpy("probabilities")
    assert probabilities.shape == (8, 10)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    value, index = best.as_numpy("probabilities")[0][0].decode().split(":")[:2]
    assert (float(value), int(index)) == (pytest.approx(probabilities[0].max()), probabilities[0].argmax())


async def test_refused_inference(served, kind):
    """What is wrong with a request is told in the exception."""
    async with connected(kind, served) as ask:
        narrow = await ask.refused("infer", "digits", ask.image(IMAGE[:, :9]))
        unknown = await ask.refused("infer", "unknown", ask.image())
        reserved = await ask.refused("infer", "digits", ask.image(), parameters={"triton_x": 1})

    assert narrow.status() == ("StatusCode.INVALID_ARGUMENT" if ask.is_grpc else "400")
    assert "image" in narrow.message()
    assert unknown.status() == ("StatusCode.NOT_FOUND" if ask.is_grpc else "404")
    assert "reserved" in reserved.message()


async def test_async_infer(served):
    """The sync clients' own way to have many requests under way."""
    with http_sync.InferenceServerClient(f"127.0.0.1:{served.http}", concurrency=4) as client:
        image = Client("http", client).image()
        pending = [client.async_infer("digits", image, request_id=str(number)) for number in range(8)]
        ids = [each.get_result().get_response()["id"] for each in pending]
    answers: queue.Queue[Any] = queue.Queue()
    with grpc_sync.InferenceServerClient(f"127.0.0.1:{served.grpc}") as client:
        image = Client("grpc", client).image()
        for number in range(8):
            client.async_infer(
                "digits",
                image,
                request_id=str(number),
                callback=lambda result, error: answers.put(error or result.get_response().id),
            )
        reported = {answers.get(timeout=100) for _ in range(8)}

    assert ids == [str(number) for number in range(8)]
    assert reported == set(ids)


def of_stream(result: Any, error: Any) -> str:
    if error is not None:
        return f"error: {error.message()}"
    final = result.get_response().parameters["triton_final_response"].bool_param
    return result.get_response().id + (" final" if final else "")


@pytest.mark.parametrize("coding", [None, "gzip"])
async def test_stream(served, coding):
    """The sync client's stream: answers in their order, an error in its place, and the mark of the last."""
    answers: queue.Queue[str] = queue.Queue()
    with grpc_sync.InferenceServerClient(f"127.0.0.1:{served.grpc}") as client:
        image = Client("grpc", client).image()
        client.start_stream(
            lambda result, error: answers.put(of_stream(result, error)), compression_algorithm=coding
        )
        client.async_stream_infer("digits", image, request_id="1")
        client.async_stream_infer("unknown", image, request_id="2")
        client.async_stream_infer("digits", image, request_id="3", enable_empty_final_response=True)
        reported = [answers.get(timeout=100) for _ in range(3)]
        client.stop_stream()

    assert reported[::2] == ["1", "3 final"]
    assert reported[1].startswith("error: ")
    assert "unknown" in reported[1]


async def test_stream_with_true_statuses(served):
    """With triton_grpc_error in the metadata the first error ends the stream with its status."""
    answers: queue.Queue[Any] = queue.Queue()
    with grpc_sync.InferenceServerClient(f"127.0.0.1:{served.grpc}") as client:
        image = Client("grpc", client).image()
        client.start_stream(
            lambda result, error: answers.put(error or result.get_response().id),
            headers={"triton_grpc_error": "true"},
        )
        client.async_stream_infer("digits", image, request_id="1")
        first = answers.get(timeout=100)
        client.async_stream_infer("unknown", image, request_id="2")
        second = answers.get(timeout=100)
        client.stop_stream()

    assert first == "1"
    assert second.status() == "StatusCode.NOT_FOUND"


async def test_stream_aio(served):
    """The asyncio client's stream."""
    async with connected("grpc.aio", served) as ask:

        async def requests():
            for number, model in enumerate(("digits", "unknown", "digits")):
                yield {"model_name": model, "inputs": ask.image(), "request_id": str(number)}

        reported = [of_stream(*each) async for each in ask.raw.stream_infer(requests())]

    assert reported[::2] == ["0", "2"]
    assert reported[1].startswith("error: ")


async def test_cancelled_stream_and_call(served):
    """A client that gives up gets its own error, and the next call an answer."""
    async with connected("grpc.aio", served) as ask:
        endless = asyncio.Event()

        async def requests():
            yield {"model_name": "digits", "inputs": ask.image(), "request_id": "1"}
            await endless.wait()

        stream = ask.raw.stream_infer(requests())
        first = await anext(aiter(stream))
        stream.cancel()
        with pytest.raises((asyncio.CancelledError, InferenceServerException, StopAsyncIteration)):
            await anext(aiter(stream))
        endless.set()
        assert of_stream(*first) == "1"
        assert await ask("is_server_live")
    context = None
    answers: queue.Queue[Any] = queue.Queue()
    with grpc_sync.InferenceServerClient(f"127.0.0.1:{served.grpc}") as client:
        context = client.async_infer(
            "digits",
            Client("grpc", client).image(),
            callback=lambda result, error: answers.put(error or result),
        )
        context.cancel()
        reported = answers.get(timeout=100)
        assert isinstance(reported, grpc_sync.InferResult) or "ancel" in str(reported)
        assert client.is_server_live()
