"""Codecs in processes of their own, so that none of them holds the event loop or the interpreter's lock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from gateway.app import codec_frames as frames
from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import Offload

T = TypeVar("T")

PROCESSES: Final = 1
"""Each takes about 45 MiB, once the first large body has come."""

MAX_WAITING: Final = 128
"""Pieces of work that wait for a process; more are refused."""

_LIMIT_S: Final = 30.0
_CHILD: Final = (sys.executable, "-P", "-m", "gateway.app.codec_child")
_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

_log = logging.getLogger("edgeway.codecs")


class CodecProcesses:
    """Does work in ``count`` processes, each started when it is first needed and again if it has ended.

    A thread waits for each. Work whose caller has left is not begun. A process that does not answer for half
    a minute is ended.
    """

    def __init__(self, count: int = PROCESSES, limit_s: float = _LIMIT_S) -> None:
        self._limit_s = limit_s
        self._threads = ThreadPoolExecutor(count, "edgeway-codec")
        self._own = threading.local()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._waiting = 0
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<CodecProcesses {len(self._children)} running, {self._waiting} pieces of work>"

    async def __call__(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what ``work`` returns for ``arguments``.

        Raises:
            GatewayError: of ``work``; OVERLOADED when too much waits, INTERNAL when the process has ended.
        """
        if self._waiting >= MAX_WAITING:
            raise GatewayError(
                Fault.OVERLOADED, "too many large bodies wait to be read; send binary data, or try again"
            )
        self._waiting += 1
        piece = [work, arguments]
        try:
            loop = asyncio.get_running_loop()
            value, error = await loop.run_in_executor(self._threads, self._do, piece)
        finally:
            self._waiting -= 1
            # Of a caller who left before it began, the queue of the threads keeps no body.
            piece.clear()
        if error is not None:
            fault, message = error
            if fault == Fault.INTERNAL:
                _log.error("a codec process: %s", message)
                message = "internal error"
            raise GatewayError(Fault(fault), message)
        result: T = value
        return result

    async def aclose(self) -> None:
        """End the processes; work that is under way fails."""
        self._is_closed = True
        for child in list(self._children):
            child.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._threads.shutdown)
        for child in list(self._children):
            self._end(child)

    def _do(self, piece: list[Any]) -> Any:
        work, arguments = piece
        child: subprocess.Popen[bytes] | None = getattr(self._own, "child", None)
        if child is None or child.poll() is not None:
            if self._is_closed:
                return None, (Fault.UNAVAILABLE, "the gateway is leaving")
            child = self._own.child = self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            frames.write(child.stdin, (work, arguments))
            if select.select([child.stdout], [], [], self._limit_s)[0]:
                return frames.read(child.stdout)
            problem = "took too long"
        except (OSError, frames.FrameError) as error:
            problem = f"ended ({error!r}): it may have been out of memory"
        except BaseException:
            # What is left in the pipes is of no use to the next.
            self._end(child)
            self._own.child = None
            raise
        self._end(child)
        self._own.child = None
        return None, (Fault.INTERNAL, problem)

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(  # noqa: S603 - our own program
            _CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **_ENVIRONMENT},  # noqa: TID251 - handed on, not read
        )
        self._children.add(child)
        if self._is_closed:
            # It was started while all were ended.
            child.kill()
        return child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        self._children.discard(child)
        child.kill()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        child.wait()


_: type[Offload] = CodecProcesses
