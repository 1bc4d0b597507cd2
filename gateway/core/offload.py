"""Work that would hold the event loop is done elsewhere.

Reading or writing JSON, or protobuf's typed contents, makes an object of each element, and holds the
interpreter's lock while it does: in a thread it would hold the loop as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

HERE_BYTES: Final = 64 << 10
"""Bytes of JSON that are read on the event loop: at most about 10 ms. A list of 784 numbers
has a quarter of them."""

HERE_MESSAGE_BYTES: Final = 16 << 10
"""The same of protobuf outside of raw contents, whose fields are counted one by one before they are read."""

HERE_ELEMENTS: Final = 32 << 10
"""Elements that are written as JSON on the event loop: at most about 10 ms."""


class Offload(Protocol):
    """Does work elsewhere than on the event loop."""

    async def __call__(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what ``work`` returns for ``arguments``.

        Args:
            work: a function of a module, without side effects.
            arguments: values that can be pickled, and buffers.

        Raises:
            GatewayError: of ``work``; OVERLOADED where it cannot be done now.
        """
        ...


class Here:
    """Does the work where it is: for processes, and tests, in which nobody else waits."""

    def __repr__(self) -> str:
        return "<Here>"

    async def __call__(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what ``work`` returns."""
        return work(*arguments)


_: type[Offload] = Here
