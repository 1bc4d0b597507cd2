"""An upstream that costs next to nothing: it counts bytes and always answers with the same 300 bytes.

It understands only what our client and Envoy send: one request at a time, with a Content-Length.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from typing import Final, cast

import numpy as np
import uvloop

from loadtests.bench import world

BODY_BYTES: Final = 300
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END: Final = b"\r\n\r\n"


def answer() -> bytes:
    """Return head and body: ten binary probabilities behind JSON that is filled up with blanks."""
    data = np.full(10, 0.1, "<f4").tobytes()
    output = {"name": "probabilities", "datatype": "FP32", "shape": [1, 10]}
    outputs = [{**output, "parameters": {"binary_data_size": len(data)}}]
    text = json.dumps({"model_name": "digits", "model_version": "1", "outputs": outputs}).encode()
    text = text.ljust(BODY_BYTES - len(data))
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {len(text)}\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
    )
    return head.encode() + text + data


class Exchange(asyncio.Protocol):
    """One connection."""

    def __init__(self, response: bytes) -> None:
        self._answer, self._waiting, self._missing = response, b"", 0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete by now."""
        assert self._transport is not None
        if self._missing:
            self._missing -= len(data)
        else:
            data = self._waiting + data
            end = data.find(_END)
            if end < 0:
                self._waiting = data
                return
            self._waiting = b""
            length = _LENGTH.search(data, 0, end)
            self._missing = end + len(_END) + (int(length[1]) if length else 0) - len(data)
        if not self._missing:
            self._transport.write(self._answer)


async def serve(port: int, addresses: Sequence[str]) -> None:
    """Serve until the process ends."""
    response = answer()
    server = await asyncio.get_running_loop().create_server(lambda: Exchange(response), addresses, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2:] or [world.ADDRESS]))
