"""Reading a request's body: bounded in bytes and in time, whatever its headers claim."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web

from gateway.core.errors import Fault, GatewayError

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpRefusal(Exception):  # noqa: N818 - it ends in an answer of HTTP's own, which is no error of ours
    """A refusal in HTTP's own terms, which no other protocol shares."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


async def read_body(request: web.BaseRequest, limit: int, timeout_s: float) -> bytes:
    """Return the whole body.

    Raises:
        GatewayError: TOO_LARGE above ``limit`` bytes, declared or sent.
        HttpRefusal: 400 for broken framing, 408 after ``timeout_s`` seconds, 417 for an expectation that
            is not ``100-continue``, 501 for a compressed body.
    """
    encoding = request.headers.get(hdrs.CONTENT_ENCODING)
    if encoding is not None and encoding.strip().lower() != "identity":
        # Never decompressed here or by aiohttp: 2 KiB can unfold to 64 MiB.
        raise HttpRefusal(
            501, "compressed request bodies are not supported", {hdrs.ACCEPT_ENCODING: "identity"}
        )
    content = request.content
    if content.is_eof():
        # It came in one piece with the headers, as most do.
        body = content.read_nowait()
        if len(body) > limit:
            raise _too_large(limit)
        return body
    declared = request.content_length
    if declared is not None and declared > limit:
        raise _too_large(limit)
    return await _read_slowly(request, limit, timeout_s)


async def _read_slowly(request: web.BaseRequest, limit: int, timeout_s: float) -> bytes:
    parts, size = [], 0
    scope = asyncio.timeout(timeout_s)
    try:
        async with scope:
            await _invite(request)
            while part := await request.content.readany():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        if not scope.expired():
            raise
        raise HttpRefusal(408, f"the request's body did not arrive within {timeout_s:g} seconds") from None
    except web.RequestPayloadError:
        raise HttpRefusal(400, "the request's body is not framed as HTTP has it") from None
    return b"".join(parts)


async def _invite(request: web.BaseRequest) -> None:
    """Tell a client that waits for leave to send its body that it may."""
    expectation = request.headers.get(hdrs.EXPECT)
    if expectation is None:
        return
    if expectation.lower() != "100-continue":
        raise HttpRefusal(417, "the only expectation that can be met is 100-continue")
    await request.writer.write(_CONTINUE)


def _too_large(limit: int) -> GatewayError:
    return GatewayError(Fault.TOO_LARGE, f"the request's body is larger than {limit} bytes")
