"""Another worker, as the one that has the states of some sequences: steps are sent to it over its socket."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

from gateway.app import codec_frames
from gateway.app.workers.step_listener import Mark, lost, mark
from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response


class StepPeer:
    """The worker whose slot has ``path``. One connection carries all steps that are under way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: _Connection | None = None
        self._mark: Mark | None = None
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<StepPeer {self._path.name}, {self._connection or 'not connected'}>"

    async def __call__(self, request: Request) -> Response:
        """Answer by that worker; cancelling the call cancels the step there.

        Raises:
            GatewayError: UNAVAILABLE when it is gone; else as it has it.
        """
        connection = self._current() or await self._open()
        return await connection.ask(request)

    async def aclose(self) -> None:
        """End the connection, and the steps under way."""
        if self._connection is not None:
            await self._connection.aclose()

    def _current(self) -> _Connection | None:
        """Return the connection, if it leads to the worker that has the slot now."""
        connection = self._connection
        if connection is None or connection.is_over or mark(self._path) != self._mark:
            return None
        return connection

    async def _open(self) -> _Connection:
        async with self._opening:
            if (current := self._current()) is not None:
                return current
            found = mark(self._path)
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=1 << 20)
            except OSError as error:
                raise lost(unsent=True) from error
            if self._connection is not None:
                self._connection.retire()
            # If another worker took over the slot meanwhile, the next step finds it out.
            self._connection, self._mark = _Connection(reader, writer), found
            return self._connection


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = count(1)
        self._steps: dict[int, asyncio.Future[Response]] = {}
        self._is_retired = False
        self.is_over = False
        self._reading = asyncio.create_task(self._read())

    def __repr__(self) -> str:
        return f"{len(self._steps)} steps under way{', over' if self.is_over else ''}"

    async def ask(self, request: Request) -> Response:
        number = next(self._numbers)
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._steps[number] = answer
        try:
            self._writer.writelines(codec_frames.frame((number, request)))
            await self._writer.drain()
            return await answer
        except OSError as error:
            raise lost() from error
        finally:
            del self._steps[number]
            if not self.is_over and (answer.cancelled() or not answer.done()):
                self._writer.writelines(codec_frames.frame((number, None)))
            self._end_if_retired()

    def retire(self) -> None:
        """End when nothing is under way any more."""
        self._is_retired = True
        self._end_if_retired()

    async def aclose(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def _end_if_retired(self) -> None:
        if self._is_retired and not self._steps:
            self._writer.close()

    async def _read(self) -> None:
        try:
            while True:
                number, response, error = await codec_frames.receive(self._reader)
                answer = self._steps.get(number)
                if answer is None or answer.done():
                    continue
                if error is None:
                    answer.set_result(response)
                else:
                    answer.set_exception(GatewayError(**error))
        except (asyncio.IncompleteReadError, OSError):
            pass  # The worker that has the states is gone; what waits for it is told below.
        finally:
            self.is_over = True
            self._writer.close()
            for answer in self._steps.values():
                if not answer.done():
                    answer.set_exception(lost())
