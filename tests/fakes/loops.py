"""Both event loops: their transports differ where a connection's end, and what it holds back, matters."""

from __future__ import annotations

import asyncio
import functools
import inspect
from asyncio import selector_events
from collections.abc import Callable, Coroutine
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


def _writelines_pauses() -> bool:
    writelines = selector_events._SelectorSocketTransport.writelines  # type: ignore[attr-defined]
    # Where it is inherited, it is one write, which does.
    return "_maybe_pause_protocol" in inspect.getsource(writelines) or "self.write(" in inspect.getsource(
        writelines
    )


def skip_where_asyncio_never_pauses() -> None:
    """Skip a test of back pressure in the loop of asyncio where its transports have none.

    ``writelines`` of Python 3.12.1 and 3.13.0 does not tell the protocol to pause; that of later ones does.
    Nobody is served in that loop: the program runs uvloop's.
    """
    if not isinstance(asyncio.get_running_loop(), uvloop.Loop) and not _writelines_pauses():
        pytest.skip("asyncio's writelines never pauses the protocol in this Python; the program runs uvloop")
