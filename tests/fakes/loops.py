"""Both event loops: their transports differ where a connection's end, and what it holds back, matters."""

from __future__ import annotations

import asyncio
import functools
import inspect
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
