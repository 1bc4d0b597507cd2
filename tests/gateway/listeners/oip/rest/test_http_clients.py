"""Clients that we did not write: tritonclient, unmodified, in both kinds, and curl."""

from __future__ import annotations

import asyncio
import shutil

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from gateway.core.errors import Fault, GatewayError
from gateway.wire.oip.metadata import EXTENSIONS
from tests.fakes.data_plane import EchoService
from tests.fakes.http import INFER, SMALL, serving
from tests.fakes.service import ScriptedService

ARRAYS = {
    "FP32": np.array([[1.5, -2.0]], np.float32),
    "FP16": np.array([1.5, -2.0], np.float16),
    "INT64": np.array([2**62, -1]),
    "BOOL": np.array([True, False]),
    "UINT8": np.arange(256, dtype=np.uint8).reshape(2, 128),
    "BYTES": np.array(["é,", "", "x" * 300], dtype=object),
}


def text(array):
    """BYTES come back as bytes, whatever they were sent as."""
    return [item.decode() if isinstance(item, bytes) else item for item in array.ravel().tolist()]


def inputs_of(module, *, binary=True):
    inputs = []
    for datatype, array in ARRAYS.items():
        if not binary and datatype == "FP16":
            continue
        entry = module.InferInput(datatype.lower(), list(array.shape), datatype)
        entry.set_data_from_numpy(array, binary_data=binary)
        inputs.append(entry)
    return inputs


@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize(
    "binary_out", [True, False, None], ids=["binary out", "JSON out", "no outputs named"]
)
async def test_tritonclient(binary_in, binary_out):
    """Every datatype goes there and back, in each mixture of binary and JSON."""

    def play(port):
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready("digits", "1")
            assert not client.is_model_ready("unknown")
            assert client.get_server_metadata()["extensions"] == list(EXTENSIONS)
            assert client.get_model_metadata("digits")["inputs"][0]["shape"] == [-1, 4]
            inputs = inputs_of(triton, binary=binary_in)
            outputs = None
            if binary_out is not None:
                # JSON has no word for FP16: asking for it as JSON is refused, as in Triton.
                names = [entry.name() for entry in inputs if binary_out or entry.name() != "fp16"]
                outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
            return client.infer("digits", inputs, outputs=outputs, request_id="7", timeout=60_000_000)

    async with serving(EchoService()) as listener:
        result = await asyncio.to_thread(play, listener.port)

    assert result.get_response()["id"] == "7"
    for output in result.get_response()["outputs"]:
        array = ARRAYS[output["datatype"]]
        assert result.as_numpy(output["name"]).shape == array.shape
        assert text(result.as_numpy(output["name"])) == text(array)


async def test_tritonclient_aio():
    """The asyncio client too."""
    async with (
        serving(EchoService()) as listener,
        triton_aio.InferenceServerClient(f"127.0.0.1:{listener.port}") as client,
    ):
        result = await client.infer("digits", inputs_of(triton_aio), headers={"X-Request-Timeout-Ms": "500"})

    for datatype, array in ARRAYS.items():
        assert text(result.as_numpy(datatype.lower())) == text(array)


async def test_tritonclient_reads_our_errors():
    """The message arrives in the client's exception as we wrote it."""
    async with serving(ScriptedService(GatewayError(Fault.INVALID, "wrong rank"))) as listener:
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
            with pytest.raises(InferenceServerException, match="wrong rank") as refused:
                await client.infer("digits", inputs_of(triton_aio))
            with pytest.raises(InferenceServerException, match="not known here"):
                await client.get_model_metadata("unknown")

    assert refused.value.status() == "400"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_tritonclient_compresses(coding):
    """Compressed both ways, the numbers are the same."""
    async with (
        serving(EchoService()) as listener,
        triton_aio.InferenceServerClient(f"127.0.0.1:{listener.port}") as client,
    ):
        result = await client.infer(
            "digits",
            inputs_of(triton_aio),
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )

    for datatype, array in ARRAYS.items():
        assert text(result.as_numpy(datatype.lower())) == text(array)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
@pytest.mark.parametrize("options", [(), ("-H", "Expect: 100-continue"), ("--http1.0",)], ids=str)
async def test_curl(options):
    """The line from the README works, and so do curl's own ways of sending a body."""
    async with serving(EchoService()) as listener:
        url = f"http://127.0.0.1:{listener.port}{INFER}"
        command = ["curl", "-sS", "-i", *options, "-d", SMALL.decode(), url]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()

    assert process.returncode == 0
    assert b" 200 OK\r\n" in output
    assert b'"data":[1.0,2.0]' in output
