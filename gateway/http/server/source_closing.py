"""Closes the sources of streamed answers in separate tasks: the task of an answer may never have begun."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.http.exchange import BodySource

LIMIT_S: Final = 1.0
"""Seconds that ``aclose`` waits for sources that are being closed."""

_log = logging.getLogger(__name__)


class SourceCloser:
    """Closes each source that it is given, once the answer is over; ``aclose`` waits for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<SourceCloser, {len(self._closing)} closing>"

    def close(self, source: BodySource) -> None:
        """Begin to close a source; its errors are logged."""
        closing = self._loop.create_task(_close(source))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Wait until the sources are closed, and cancel those that take too long."""
        if not self._closing:
            return
        _, late = await asyncio.wait(self._closing, timeout=LIMIT_S)
        for closing in late:
            closing.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _close(source: BodySource) -> None:
    try:
        await source.aclose()
    except Exception:  # noqa: BLE001 - the answer is sent, or given up, already
        _log.exception("the source of a streamed answer could not be closed")
