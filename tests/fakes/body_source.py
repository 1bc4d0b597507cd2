"""Sources of streamed answers that count how often they are closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from gateway.core.tensor import Buffer
from gateway.http.exchange import NO_FIELDS, BodySource, Fields, Pair, StreamedAnswer


class FakeSource:
    """The parts of ``parts``, then ``trailers``; ``closed``: how often it was closed, which may fail."""

    def __init__(
        self,
        parts: AsyncGenerator[Buffer, None],
        trailers: tuple[Pair, ...] = (),
        close_error: Exception | None = None,
    ) -> None:
        self._parts, self._trailers, self._close_error = parts, trailers, close_error
        self.closed = 0
        self.trailers_read = 0

    def __aiter__(self) -> AsyncIterator[Buffer]:
        return self._parts

    def trailers(self) -> tuple[Pair, ...]:
        self.trailers_read += 1
        return self._trailers

    async def aclose(self) -> None:
        await self._parts.aclose()
        self.closed += 1
        if self._close_error is not None:
            raise self._close_error


_: type[BodySource] = FakeSource


def streamed(parts: Any, trailers: tuple[Pair, ...] = (), fields: Fields = NO_FIELDS) -> StreamedAnswer:
    """A streamed answer whose body is the async generator ``parts``."""
    return StreamedAnswer(200, fields, FakeSource(parts, trailers))


async def parts_of(*parts: bytes, error: BaseException | None = None) -> AsyncGenerator[Buffer, None]:
    for part in parts:
        yield part
    if error is not None:
        raise error


async def endless() -> AsyncGenerator[Buffer, None]:
    """Never waits."""
    for _ in range(1_000_000):
        yield b"more"
    raise AssertionError("it was read to its end")
