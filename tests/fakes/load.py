"""Clients that never stop, and what became of their requests."""

from __future__ import annotations

import asyncio
import contextlib

import tritonclient.grpc as triton_grpc

from tests.fakes.served import BODY, INFER

REQUEST = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (INFER.encode(), len(BODY), BODY)

HANG_S = 60.0
"""To connect, or to get an answer, takes no client of a gateway that lives this long."""


class Load:
    """Clients that never stop: some keep their connection as long as they may, some take a new one each time.

    ``until_refused``: a client whose connection is refused ends, and is counted in ``refused``; else it is a
    failure as all others are.
    """

    def __init__(self, port: int, *, until_refused: bool = False) -> None:
        self._port, self._until_refused = port, until_refused
        self._is_over = False
        self.answers = self.connections = self.calls = self.refused = 0
        self.failures: list[str] = []

    async def run(self, *, kept: int, fresh: int, grpc_port: int | None = None) -> None:
        async with asyncio.TaskGroup() as group:
            if grpc_port is not None:
                group.create_task(asyncio.to_thread(self._play_grpc, grpc_port))
            for _ in range(kept):
                group.create_task(self._play(keeps=True))
            for _ in range(fresh):
                group.create_task(self._play(keeps=False))

    def end(self) -> None:
        self._is_over = True

    async def _play(self, *, keeps: bool) -> None:
        while not self._is_over:
            try:
                await self._connection(keeps=keeps)
            except ConnectionRefusedError as error:
                if self._until_refused:
                    self.refused += 1
                    return
                self.failures.append(repr(error))
            except (OSError, EOFError, ValueError) as error:
                self.failures.append(repr(error))

    def _play_grpc(self, port: int) -> None:
        """Ask over one channel, which finds a connection of its own when the last one has ended."""
        with triton_grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
            while not self._is_over:
                try:
                    assert client.get_model_metadata("digits", client_timeout=HANG_S).name == "digits"
                    self.calls += 1
                except triton_grpc.InferenceServerException as error:
                    if self._until_refused and "Connection refused" in str(error):
                        self.refused += 1
                        return
                    self.failures.append(repr(error))

    async def _connection(self, *, keeps: bool) -> None:
        async with asyncio.timeout(HANG_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.connections += 1
        try:
            while True:
                writer.write(REQUEST)
                async with asyncio.timeout(HANG_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    await reader.readexactly(int(length))
                if not head.startswith(b"HTTP/1.1 200"):
                    raise ValueError(head)
                self.answers += 1
                if self._is_over or not keeps or b"connection: close" in head.lower():
                    return
                await asyncio.sleep(0.005)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
