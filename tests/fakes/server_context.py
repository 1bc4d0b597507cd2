"""A connection's surroundings without a socket: books, and a transport that keeps what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.http.server.context import EMPTY_ERROR, ServerContext
from gateway.http.server.settings import TransportSettings
from tests.fakes.application import FakeApplication
from tests.fakes.clock import StillClock


class FakeTransport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.noted: list[str] = []
        self.closed = False
        self.waits = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def writelines(self, parts: Any) -> None:
        self.written.append(b"".join(parts))

    def pause_reading(self) -> None:
        self.noted.append("pause")

    def resume_reading(self) -> None:
        self.noted.append("resume")

    def get_write_buffer_size(self) -> int:
        return self.waits

    def get_extra_info(self, name: str) -> None:
        """There is no socket."""

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


@asynccontextmanager
async def open_context(application: Any = None, **settings: Any) -> AsyncIterator[ServerContext]:
    """A context with these settings, and with its ``clock`` and ``fallback`` if they are among them."""
    fallback, clock = settings.pop("fallback", EMPTY_ERROR), settings.pop("clock", None) or StillClock()
    context = ServerContext(application or FakeApplication(), TransportSettings(**settings), clock, fallback)
    try:
        yield context
    finally:
        await context.aclose()
