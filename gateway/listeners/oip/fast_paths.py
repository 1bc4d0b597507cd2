"""Series of requests that differ in nothing but their data, and the fast paths of the stacks for them.

A client of one model sends the same head with the same beginning of a body again and again. When it does, and
the stack has the answers in memory, the stack builds its fast path (``gateway.core.service``). From then on
such a request is compared with the series instead of being decoded.

A series holds what its requests have in common, which with JSON is all of the body: it is learned from
answers out of this region's memory, and kept for the tenant and residency class that it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from gateway.core.errors import GatewayError
from gateway.core.partitions import PartitionedMemory
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, NumberedService, fast_path
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, Head, PendingAnswer
from gateway.listeners.request_headers import RequestHeaders
from gateway.wire.oip.reuse import Layout

SERIES_BYTES: Final = 2 << 20
MAX_SERIES_BYTES: Final = 8 << 20
"""Of one partition, and of all. The paths of one series are shared by the connections that it comes on."""

_OWN_BYTES: Final = 4096
"""What a path takes beside the request's bytes: a begun hash and the filters' closures."""

_SMALL_BYTES: Final = 2 * _OWN_BYTES
"""A displaced series of at most this size is not ended: the heads that refer to it may go on using it. They
take about as much memory themselves, so memory stays bounded."""

_Name = tuple[bytes, int, str, str, RequestHeaders]

_SERIES: Final = "series"
_SEEN: Final = "layout"


class _Series:
    """Answers the requests of one series by one generation; ``path`` is None where it has no fast path."""

    __slots__ = (
        "__weakref__",
        "_begins",
        "_data",
        "_generation",
        "_path",
        "_prefix",
        "_size",
        "_spans",
        "_write",
        "cost",
    )

    def __init__(
        self,
        layout: Layout,
        generation: NumberedService,
        path: FastPath | None,
        write: Callable[[Response], Answer | PendingAnswer],
        cost: int,
    ) -> None:
        self.cost = cost
        self._prefix, self._size, self._begins = layout.prefix, layout.size, len(layout.prefix)
        self._spans, self._data = layout.spans, layout.data
        self._generation: NumberedService | None = generation
        self._path, self._write = path, write

    def __repr__(self) -> str:
        return f"<_Series of {self._size} bytes{'' if self._path else ', without a path'}>"

    def takes(self, layout: Layout, generation: NumberedService) -> bool:
        return self._prefix == layout.prefix and self._size == layout.size and self._generation is generation

    def is_vain(self, generation: NumberedService) -> bool:
        """Whether the stack has no fast path for it; then the generation does not look at its head again."""
        return self._path is None and self._generation is generation

    def end(self) -> None:
        """Answer nothing any more, and keep nothing of the requests or of the generation."""
        self._generation = self._path = None
        self._prefix, self._data, self._write = b"", (), _nothing

    def answer(self, body: Buffer, generation: NumberedService) -> Answer | PendingAnswer | None:
        path = self._path
        if (
            path is None
            or generation is not self._generation
            or len(body) != self._size
            or bytes(body[: self._begins]) != self._prefix
        ):
            return None
        if self._spans:
            view = memoryview(body)
            response = path([view[start:stop] for start, stop in self._spans])
        else:
            response = path(self._data)
        return None if response is None else self._write(response)


class FastPaths:
    """The series that clients send now."""

    def __init__(self) -> None:
        self._series = PartitionedMemory[_Name, _Series](SERIES_BYTES, MAX_SERIES_BYTES, _drop)
        self._living: WeakSet[_Series] = WeakSet()
        self.generation: NumberedService | None = None

    def __repr__(self) -> str:
        return f"<FastPaths {self._series!r}>"

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self._series)

    def answer(self, head: Head, body: Buffer, generation: NumberedService) -> Answer | PendingAnswer | None:
        """Answer a request of a known series from memory; None: it must be read."""
        series: _Series | None = head.notes.get(_SERIES)
        return None if series is None else series.answer(body, generation)

    def learn(
        self,
        head: Head,
        layout_of: Callable[[], Layout | None],
        request: Request,
        *,
        headers: RequestHeaders,
        generation: NumberedService,
        write: Callable[[Response], Answer | PendingAnswer],
    ) -> None:
        """Take note of a request that was answered from memory.

        ``layout_of`` is only called for a head that has come before; ``write`` renders the answers of the
        request's series.
        """
        notes, partition = head.notes, headers.partition
        if partition is None:
            return
        if _SEEN not in notes:
            notes[_SEEN] = None
            return
        known: _Series | None = notes.get(_SERIES)
        if known is not None and known.is_vain(generation):
            return
        layout = layout_of()
        if layout is None or (known is not None and known.takes(layout, generation)):
            return
        # The layout itself would stay for as long as the head does, which is as long as its connection.
        seen = (hash(layout.prefix), layout.size)
        if notes[_SEEN] != seen:
            notes[_SEEN] = seen
            return
        if generation is not self.generation:
            self.begin(generation)
        name = (layout.prefix, layout.size, request.model, request.version, headers)
        series = self._series.get(partition, name)
        if series is None:
            series = _Series(layout, generation, _path(generation, request), write, _cost(layout, headers))
            self._living.add(series)
            self._series.keep(partition, name, series, series.cost)
        notes[_SERIES] = series

    def begin(self, generation: NumberedService) -> None:
        """End the series of the generation before, wherever they are known."""
        for series in list(self._living):
            series.end()
        self._series.clear()
        self.generation = generation


def _drop(series: _Series) -> None:
    if series.cost > _SMALL_BYTES:
        series.end()


def _cost(layout: Layout, headers: RequestHeaders) -> int:
    """Return the bytes that a series keeps, its name included."""
    return _OWN_BYTES + len(layout.prefix) + sum(map(len, layout.data)) + len(repr(headers))


def _nothing(_response: Response) -> Answer | PendingAnswer:
    raise AssertionError("a series that has ended got a request")


def _path(generation: NumberedService, like: Request) -> FastPath | None:
    try:
        return fast_path(generation, like)
    except GatewayError:
        # Such a request passed just now and no longer does. The next one will get the error.
        return None
