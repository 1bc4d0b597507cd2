"""Calls between the processes of one gateway, on UNIX sockets that only they can reach."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from gateway.admin.errors import RemoteError
from gateway.core.errors import Fault, GatewayError

NO_ANSWER: Final = (aiohttp.ClientError, OSError, TimeoutError)
NOT_LISTENING: Final = aiohttp.ClientConnectorError
"""The process does not listen yet, or not any more. It is one of ``NO_ANSWER``."""


async def call(socket: Path, path: str, body: bytes | None = None, *, limit_s: float) -> bytes:
    """Return the answer of the process at ``socket`` to a GET of ``path``, or to a POST of ``body``.

    Raises:
        GatewayError: as the process raised it.
        NO_ANSWER: it does not answer within ``limit_s`` seconds.
    """
    method = "GET" if body is None else "POST"
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket)), timeout=aiohttp.ClientTimeout(total=limit_s)
        ) as session,
        session.request(method, f"http://process{path}", data=body) as response,
    ):
        answer = await response.read()
        if response.status < 400:
            return answer
    try:
        raise msgspec.json.decode(answer, type=RemoteError).to_error()
    except msgspec.MsgspecError:
        raise GatewayError(Fault.INTERNAL, f"another process answered {response.status}") from None
