"""curl, in all its ways to send a body and to take one."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import shutil
import struct
import zlib

import pytest

from tests.fakes.data_plane import EchoService
from tests.fakes.http import INFER, SMALL, serving

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")

ELEMENTS = 1 << 19
LARGE = {
    "inputs": [
        {
            "name": "x",
            "shape": [ELEMENTS],
            "datatype": "FP32",
            "parameters": {"binary_data_size": 4 * ELEMENTS},
        }
    ],
    "parameters": {"binary_data_output": True},
}


async def curl(*options: object) -> bytes:
    """What curl writes to its standard output; it fails for statuses of errors."""
    process = await asyncio.create_subprocess_exec(
        "curl",
        *("-sS", "--fail-with-body", "--max-time", "30"),
        *map(str, options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors + output
    return output


def parted(output: bytes) -> tuple[list[str], dict[str, str], bytes]:
    """Status lines, the last head's fields, and the body of what ``curl -i`` wrote."""
    lines: list[str] = []
    while output.startswith(b"HTTP/"):
        head, _, output = output.partition(b"\r\n\r\n")
        line, *pairs = head.decode().split("\r\n")
        lines.append(line.strip())
        fields = {name.lower(): value for name, _, value in (pair.partition(": ") for pair in pairs)}
    return lines, fields, output


@pytest.mark.parametrize(
    ("option", "lines"),
    [
        ("--http1.1", ["HTTP/1.1 200 OK"]),
        # An upgrade that is not taken is no error: RFC 9110 7.8.
        ("--http2", ["HTTP/1.1 200 OK"]),
        ("--http2-prior-knowledge", ["HTTP/2 200"]),
    ],
)
async def test_versions(option, lines):
    """HTTP/1.1 and HTTP/2 in the clear, on one port; over HTTP/1.1 several requests on one connection."""
    async with serving(EchoService()) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        status_lines, _, body = parted(await curl(option, "-i", "-d", SMALL.decode(), url + INFER))
        # curl 7.88 cannot use an HTTP/2 connection again that it knew to be one (its issue 10634).
        version = "--http2" if option == "--http2" else "--http1.1"
        both = await curl(version, "-d", SMALL.decode(), "-w", " %{num_connects};", url + INFER, url + INFER)

    assert status_lines == lines
    assert json.loads(body)["outputs"][0]["data"] == [1.0, 2.0]
    assert both.endswith(b" 0;")


@pytest.mark.parametrize("option", ["--http1.1", "--http2-prior-knowledge"])
async def test_large_binary_body(option, tmp_path):
    """2 MiB of tensor, for which curl 7 asks first (Expect: 100-continue), come back as they went."""
    head = json.dumps(LARGE).encode()
    data = struct.pack(f"<{ELEMENTS}f", *range(ELEMENTS))
    body = tmp_path / "body"
    body.write_bytes(head + data)
    sent = ("-H", f"Inference-Header-Content-Length: {len(head)}", "-H", "Expect: 100-continue")

    async with serving(EchoService()) as listener:
        url = f"http://127.0.0.1:{listener.port}{INFER}"
        lines, fields, output = parted(await curl(option, "-i", *sent, "--data-binary", f"@{body}", url))

    if option == "--http1.1":
        assert lines == ["HTTP/1.1 100 Continue", "HTTP/1.1 200 OK"]
    assert lines[-1].endswith("200 OK" if option == "--http1.1" else "HTTP/2 200")
    assert fields["content-type"] == "application/octet-stream"
    assert output[int(fields["inference-header-content-length"]) :] == data


async def test_too_large_a_body_is_refused_before_it_is_sent(tmp_path):
    """Who asks first is spared the sending."""
    body = tmp_path / "body"
    body.write_bytes(bytes(4 << 20))

    async with serving(EchoService(), max_body_bytes=1 << 20) as listener:
        url = f"http://127.0.0.1:{listener.port}{INFER}"
        process = await asyncio.create_subprocess_exec(
            "curl",
            *("-sS", "-i", "-H", "Expect: 100-continue", "--data-binary", f"@{body}"),
            *("-w", "sent %{size_upload}", url),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()

    assert process.returncode == 0
    assert output.startswith(b"HTTP/1.1 413 ")
    assert output.endswith(b"sent 0")


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("size", [10, 50_000], ids=["on the spot", "aside"])
async def test_compressed(coding, pack, size, tmp_path):
    """Both ways: what --compressed asks for, it reads."""
    data = random.Random(1).choices([0.5, 1.5, 2.5, 3.5], k=size)
    sent = {"inputs": [{"name": "x", "shape": [size], "datatype": "FP32", "data": data}]}
    body = tmp_path / "body"
    body.write_bytes(pack(json.dumps(sent).encode()))
    options = ("-H", f"Content-Encoding: {coding}", "-H", f"Accept-Encoding: {coding}", "--compressed")

    async with serving(EchoService()) as listener:
        url = f"http://127.0.0.1:{listener.port}{INFER}"
        output = await curl("-i", *options, "--data-binary", f"@{body}", url)

    _, fields, answer = parted(output)
    assert json.loads(answer)["outputs"][0]["data"] == data
    assert fields.get("content-encoding") == (None if size == 10 else coding)


async def test_chunked_and_raw(tmp_path):
    """A body of unknown length, and one that is nothing but the data of the model's input."""
    body = tmp_path / "body"
    body.write_bytes(struct.pack("<4f", 1, 2, 3, 4))
    async with serving(EchoService()) as listener:
        url = f"http://127.0.0.1:{listener.port}{INFER}"
        chunked = await curl("-H", "Transfer-Encoding: chunked", "-d", SMALL.decode(), url)
        raw = await curl("-i", "-H", "Inference-Header-Content-Length: 0", "--data-binary", f"@{body}", url)

    _, fields, output = parted(raw)
    assert json.loads(chunked)["outputs"][0]["data"] == [1.0, 2.0]
    assert output[int(fields["inference-header-content-length"]) :] == body.read_bytes()


@pytest.mark.parametrize("option", ["--http1.1", "--http2-prior-knowledge"])
async def test_events(option):
    """generate answers with an object, generate_stream with an event."""
    sent = json.dumps({"image": [[1, 2, 3, 4]], "parameters": {"sequence_id": "s"}})
    async with serving(EchoService()) as listener:
        url = f"http://127.0.0.1:{listener.port}/v2/models/digits"
        once = await curl(option, "-d", sent, f"{url}/generate")
        stream = await curl(option, "-N", "-i", "-d", sent, f"{url}/generate_stream")

    _, fields, events = parted(stream)
    assert json.loads(once)["image"] == [1, 2, 3, 4]
    assert fields["content-type"] == "text/event-stream"
    assert json.loads(events.removeprefix(b"data: ").removesuffix(b"\n\n")) == json.loads(once)
