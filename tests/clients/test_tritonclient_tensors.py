"""tritonclient's tensors and time limits, before a service that answers what it gets."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import grpc
import grpc.aio
import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as grpc_sync
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http_sync
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

from gateway.core.repository import ModelSettings, NoRepository
from gateway.listeners.oip.extensions import Extensions
from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.http import serving
from tests.fakes.listener import listener_of
from tests.fakes.service import HANG, ScriptedService

RANDOM = np.random.default_rng(3)
ARRAYS = {
    "BOOL": np.array([[True], [False]]),
    **{f"UINT{bits}": np.array([0, 2**bits - 1], f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.array([-(2 ** (bits - 1)), 7], f"int{bits}") for bits in (8, 16, 32, 64)},
    "FP16": np.array([1.5, -np.inf, np.nan], np.float16),
    "BF16": np.array([1.5, -2.0, np.inf], ml_dtypes.bfloat16),
    "FP32": np.array([[1.5, -2.0, np.nan]], np.float32),
    "FP64": np.array([1e300, -0.0]),
    "BYTES": np.array([b"", b"\0\xff", "é".encode()], object),
}


class KnownRepository(NoRepository):
    """A repository in which every model has the same settings."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings

    def settings(self, model: str) -> ModelSettings:
        return self._settings


def inputs_of(module, arrays=ARRAYS):
    inputs = []
    for datatype, array in arrays.items():
        entry = module.InferInput(datatype.lower(), list(array.shape), datatype)
        entry.set_data_from_numpy(array)
        inputs.append(entry)
    return inputs


@pytest.mark.parametrize("module", [http_aio, grpc_aio], ids=["http", "grpc"])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
async def test_every_datatype(module, coding):
    """There and back, bit by bit, compressed or not; large enough that the answer is compressed too."""
    noise = {"UINT8": RANDOM.integers(0, 4, 100_000, np.uint8)}
    is_grpc = module is grpc_aio
    options = {"compression_algorithm": coding} if is_grpc else {}
    if coding and not is_grpc:
        options = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
    service = EchoService()
    async with (
        serving(service) as listener,
        module.InferenceServerClient(f"127.0.0.1:{listener.port}") as client,
    ):
        result = await client.infer("digits", inputs_of(module), **options)
        large = await client.infer("digits", inputs_of(module, noise), **options)

    for datatype, array in ARRAYS.items():
        received = result.as_numpy(datatype.lower())
        assert received.dtype == array.dtype
        assert received.shape == array.shape
        np.testing.assert_array_equal(received, array)
    bf16 = next(tensor for tensor in service.requests[0].inputs if tensor.datatype == "BF16")
    assert bytes(bf16.data) == ARRAYS["BF16"].tobytes()
    np.testing.assert_array_equal(large.as_numpy("uint8"), noise["UINT8"])


@asynccontextmanager
async def counting(port):
    """A port that leads to ``port``, and how many bytes came back from there."""
    came = [0]
    relaying: set[asyncio.Task[None]] = set()

    async def copy(reader, writer, count):
        while piece := await reader.read(1 << 16):
            count[0] += len(piece)
            writer.write(piece)
            await writer.drain()

    async def forward(reader, writer):
        task = asyncio.current_task()
        relaying.add(task)
        upward, downward = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(copy(reader, downward, [0]))
                both.create_task(copy(upward, writer, came))
        finally:
            # Cancelled, too: a socket left behind would be another test's warning.
            for each in (downward, writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()
            relaying.discard(task)

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()
        for task in relaying:
            task.cancel()
        await asyncio.gather(*relaying, return_exceptions=True)


@pytest.mark.parametrize("coding", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_grpc_compresses_both_ways(coding):
    """grpcio's own compression, in calls and in streams; an answer like it comes back."""
    data = RANDOM.integers(0, 4, 240_000, np.uint8).tobytes()
    message = messages.ModelInferRequest(model_name="digits", raw_input_contents=[data])
    message.inputs.add(name="x", datatype="UINT8", shape=[240_000])
    async with (
        serving(EchoService()) as listener,
        counting(listener.port) as (port, came),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", compression=coding) as channel,
    ):
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        answer = messages.ModelInferResponse.FromString(await call(message.SerializeToString()))
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(
            iter([message.SerializeToString()] * 2)
        )
        received = [messages.ModelStreamInferResponse.FromString(each) async for each in stream]

    assert answer.raw_output_contents[0] == data
    assert [each.infer_response.raw_output_contents[0] for each in received] == [data] * 2
    assert came[0] < 3 * len(data) / 2


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_clients_that_stop_waiting():
    """Each client's own time limit ends its wait, and what nobody waits for is cancelled here."""
    service = ScriptedService(HANG)

    def over_http(port):
        with http_sync.InferenceServerClient(f"127.0.0.1:{port}", network_timeout=0.3) as client:
            client.infer("digits", inputs_of(http_sync, {"FP32": ARRAYS["FP32"]}))

    def over_grpc(port):
        with grpc_sync.InferenceServerClient(f"127.0.0.1:{port}") as client:
            client.infer("digits", inputs_of(grpc_sync, {"FP32": ARRAYS["FP32"]}), client_timeout=0.3)

    async with serving(service) as listener:
        for play, error in ((over_http, TimeoutError), (over_grpc, InferenceServerException)):
            began = time.monotonic()
            with pytest.raises(error):
                await asyncio.to_thread(play, listener.port)
            assert time.monotonic() - began < 60
            await until(lambda: service.running == 0)

    assert len(service.requests) == 2


async def test_cancelled_calls():
    """A call that its caller cancels is cancelled here, over both protocols."""
    service = ScriptedService(HANG)
    for module in (http_aio, grpc_aio):
        async with (
            serving(service) as listener,
            module.InferenceServerClient(f"127.0.0.1:{listener.port}") as client,
        ):
            call = asyncio.ensure_future(client.infer("digits", inputs_of(module, {"FP32": ARRAYS["FP32"]})))
            await until(lambda: service.running == 1)
            call.cancel()
            await until(lambda: service.running == 0)
            await asyncio.wait([call])
            assert call.cancelled()


@pytest.mark.parametrize("module", [http_aio, grpc_aio], ids=["http", "grpc"])
@pytest.mark.parametrize(
    "name", ["Mixed.CASE_2-b", "with blanks", "ümläut%20", "a+b&c=d;e?f#g", "v2", "m" * 256]
)
@pytest.mark.parametrize("version", ["", "7", "v1.2.0"])
async def test_names_of_every_kind(module, name, version):
    """A model that an endpoint holds has the name that it has there; so has a version."""
    service = EchoService()
    async with (
        serving(service) as listener,
        module.InferenceServerClient(f"127.0.0.1:{listener.port}") as client,
    ):
        result = await client.infer(name, inputs_of(module), model_version=version)

    assert (service.last.model, service.last.version) == (name, version)
    answer = result.get_response()
    told = answer["model_name"] if module is http_aio else answer.model_name
    assert told == name


async def test_nan_and_infinity_as_json():
    """As the client writes them without binary data, and reads them."""
    array = np.array([1.5, np.nan, np.inf, -np.inf], np.float32)
    entry = http_aio.InferInput("x", [4], "FP32")
    entry.set_data_from_numpy(array, binary_data=False)
    wanted = [http_aio.InferRequestedOutput("x", binary_data=False)]
    async with (
        serving(EchoService()) as listener,
        http_aio.InferenceServerClient(f"127.0.0.1:{listener.port}") as client,
    ):
        result = await client.infer("digits", [entry], outputs=wanted)

    assert np.array_equal(result.as_numpy("x"), array, equal_nan=True)


@pytest.mark.parametrize("module", [http_aio, grpc_aio], ids=["http", "grpc"])
async def test_classes_of_a_model_with_and_without_a_batch(module):
    """Each row by itself, or all elements as one list, by what the process knows of the model; with labels."""
    array = np.array([[1, 4], [3, 2]], np.float32)
    entry = module.InferInput("y", [2, 2], "FP32")
    entry.set_data_from_numpy(array)
    wanted = [module.InferRequestedOutput("y", class_count=2)]
    found = {}
    for batches in (True, False, None):
        settings = ModelSettings(batches=batches, labels={"y": ("cat", "dog")})
        extensions = Extensions(repository=KnownRepository(settings))
        listener = listener_of(fake_data_plane(EchoService()), extensions=extensions)
        await listener.start("127.0.0.1", 0)
        try:
            async with module.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
                result = await client.infer("digits", [entry], outputs=wanted)
                found[batches] = result.as_numpy("y").tolist()
        finally:
            await listener.aclose()

    rows = [[b"4.000000:1:dog", b"1.000000:0:cat"], [b"3.000000:0:cat", b"2.000000:1:dog"]]
    assert found == {True: rows, None: rows, False: [b"4.000000:1:dog", b"3.000000:2"]}
