"""What processes of one gateway send each other: pickled values, with large data beside them.

``count of buffers | their lengths | the pickle | the buffers``, each number 8 bytes. Buffers are not copied
where they are pickled: neither side holds its interpreter's lock while they are moved. Both sides are the
same program, and nobody else has the pipes, nor reaches the sockets.
"""

from __future__ import annotations

import asyncio
import io
import mmap
import pickle
import struct
from collections.abc import Callable
from types import MappingProxyType
from typing import IO, Any, Final

from gateway.core.tensor import Buffer, Tensor

_BESIDE_BYTES: Final = 16 << 10
_NUMBER: Final = struct.Struct("<Q")
_WRITTEN_BYTES: Final = 1 << 20


class FrameError(Exception):
    """The other side has ended."""


class _Pickler(pickle.Pickler):
    """Pickles the values of codecs; ``buffer_callback`` takes what is large."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is Tensor:
            return Tensor, (value.name, value.datatype, value.shape, _beside(value.data), value.parameters)
        if type(value) is memoryview:
            return bytes if len(value) < _BESIDE_BYTES else _whole, (_beside(value),)
        if type(value) is MappingProxyType:
            return _read_only, (dict(value),)
        return NotImplemented


def write(stream: IO[bytes], value: Any) -> None:
    """Send ``value``.

    Raises:
        OSError: the other side has ended.
    """
    head, *parts = frame(value)
    stream.write(head)
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[stream.write(view[:_WRITTEN_BYTES]) :]
    stream.flush()


def frame(value: Any) -> list[Buffer]:
    """Return what ``write`` sends: the numbers first."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = io.BytesIO()
    _Pickler(pickled, 5, buffer_callback=buffers.append).dump(value)
    parts: list[Buffer] = [pickled.getbuffer(), *(buffer.raw() for buffer in buffers)]
    return [b"".join(map(_NUMBER.pack, (len(parts), *map(len, parts)))), *parts]


async def receive(reader: asyncio.StreamReader) -> Any:
    """Return what ``frame`` has made at the other side.

    Raises:
        asyncio.IncompleteReadError, OSError: the other side has ended.
    """
    (count,) = _NUMBER.unpack(await reader.readexactly(_NUMBER.size))
    lengths = await reader.readexactly(count * _NUMBER.size)
    sizes = [size for (size,) in _NUMBER.iter_unpack(lengths)]
    pickled, *buffers = [await reader.readexactly(size) for size in sizes]
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301 - of our own program


def read(stream: IO[bytes]) -> Any:
    """Return what the other side sent; large data are views.

    Raises:
        FrameError: the other side has ended.
    """
    count = _number(stream)
    sizes = [_number(stream) for _ in range(count)]
    pickled, *buffers = [_exactly(stream, size) for size in sizes]
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301 - of our own program


def _number(stream: IO[bytes]) -> int:
    number: int = _NUMBER.unpack(_exactly(stream, _NUMBER.size))[0]
    return number


def _exactly(stream: IO[bytes], size: int) -> memoryview:
    # Large memory comes from the system, which fills it with zeros where it is used, and without the lock.
    view = memoryview(mmap.mmap(-1, size) if size >= _WRITTEN_BYTES else bytearray(size))
    filled = 0
    read_into: Callable[[memoryview], int | None] = stream.readinto  # type: ignore[attr-defined]
    while filled < size:
        got = read_into(view[filled : filled + _WRITTEN_BYTES])
        if not got:
            raise FrameError
        filled += got
    return view.toreadonly()


def _beside(data: Buffer) -> Buffer | pickle.PickleBuffer:
    return bytes(data) if len(data) < _BESIDE_BYTES else pickle.PickleBuffer(data)


def _read_only(values: dict[str, Any]) -> MappingProxyType[str, Any]:
    # The class cannot be pickled by its name.
    return MappingProxyType(values)


def _whole(data: Buffer) -> memoryview:
    return memoryview(data)
