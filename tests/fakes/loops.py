"""Both event loops: their transports differ where a connection's end, and what it holds back, matters."""

from __future__ import annotations

import asyncio
import functools
import inspect
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvloop


def both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test once in asyncio's loop and once in uvloop's."""

    @functools.wraps(test)
    def play(run: Any, **arguments: Any) -> None:
        run(test(**arguments))

    signature = inspect.signature(test)
    run = inspect.Parameter("run", inspect.Parameter.KEYWORD_ONLY)
    play.__signature__ = signature.replace(parameters=[*signature.parameters.values(), run])  # type: ignore[attr-defined]
    return pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])(play)


class _Pausable(asyncio.Protocol):
    is_paused = False

    def pause_writing(self) -> None:
        self.is_paused = True


async def _write_more_than_fits() -> bool:
    """Whether ``writelines`` of more than the socket takes lets the protocol pause."""
    ours, theirs = socket.socketpair()
    with theirs:
        transport, protocol = await asyncio.get_running_loop().create_connection(_Pausable, sock=ours)
        transport.writelines([bytes(1 << 20)] * 8)
        transport.abort()
        await asyncio.sleep(0)
        return protocol.is_paused


@functools.cache
def _writelines_pauses() -> bool:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _write_more_than_fits()).result()


def skip_where_asyncio_never_pauses() -> None:
    """Skip a test of back pressure in the loop of asyncio where its transports have none.

    ``writelines`` of Python 3.12.1 and 3.13.0 does not tell the protocol to pause; that of later ones does.
    Nobody is served in that loop: the program runs uvloop's.
    """
    if not isinstance(asyncio.get_running_loop(), uvloop.Loop) and not _writelines_pauses():
        pytest.skip("asyncio's writelines never pauses the protocol in this Python; the program runs uvloop")
