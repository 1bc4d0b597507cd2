"""Peers that send a byte a second: half of them in a head, half in a body. Run as a process of its own.

``python -m loadtests.bench.dripping PORT COUNT`` prints ``dripping`` when all are connected, goes on until
its input ends, and then prints how many connections were cut and replaced.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from contextlib import suppress
from typing import IO, Final

from loadtests.bench import idle, world

READY: Final = "dripping"
ADDRESSES: Final = tuple(f"127.0.0.{number}" for number in range(2, 6))
"""Not the good traffic's: with that address's share of the connections they could keep it out."""

_HEAD: Final = f"POST {world.PATH} HTTP/1.1\r\nHost: localhost\r\n"
BEGINNINGS: Final = (f"{_HEAD}X-Slow: ".encode(), f"{_HEAD}Content-Length: 100000\r\n\r\n".encode())
_SLOTS: Final = 100
_READ: Final = 1 << 12
_PATIENCE_S: Final = 10.0


class Drips:
    """Keeps ``count`` connections to ``port``; ``cuts`` is the number of those that the gateway has ended.

    One thread and one poll for all, because the load generator runs on the same core.
    """

    def __init__(self, port: int, count: int) -> None:
        self._port, self._count = port, count
        self._slots: list[dict[int, socket.socket]] = [{} for _ in range(_SLOTS)]
        self._poll = selectors.DefaultSelector()
        self.cuts = 0

    def __repr__(self) -> str:
        return f"<Drips to {self._port}: {self._count}, {self.cuts} cut>"

    def run(self, until: IO[str]) -> None:
        """Drip until ``until`` ends; print ``dripping`` as soon as every connection is there.

        They begin one after the other within the ten seconds that a gateway gives them, so that they are not
        all cut, and replaced, in the same moment.
        """
        for number in range(self._count):
            self._begin(number)
            time.sleep(_PATIENCE_S / self._count)
        print(READY, flush=True)
        self._poll.register(until, selectors.EVENT_READ)
        tick, due = 0, time.monotonic()
        while True:
            for key, _ in self._poll.select(max(0.0, due - time.monotonic())):
                if key.fileobj is until:
                    return
                self._look(key.data)
            if time.monotonic() >= due:
                tick, due = tick + 1, due + 1 / _SLOTS
                self._drip(self._slots[tick % _SLOTS])

    def _begin(self, number: int) -> None:
        source = (ADDRESSES[number % len(ADDRESSES)], 0)
        connection = socket.create_connection((world.ADDRESS, self._port), _PATIENCE_S, source)
        connection.setblocking(False)
        connection.send(BEGINNINGS[number % len(BEGINNINGS)])
        self._poll.register(connection, selectors.EVENT_READ, number)
        # Not all in the same moment of the second.
        self._slots[number % _SLOTS][number] = connection

    def _look(self, number: int) -> None:
        connection = self._slots[number % _SLOTS][number]
        try:
            if connection.recv(_READ):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._poll.unregister(connection)
        connection.close()
        self.cuts += 1
        self._begin(number)

    @staticmethod
    def _drip(slot: dict[int, socket.socket]) -> None:
        for connection in slot.values():
            # One that is gone is seen when it is looked at.
            with suppress(OSError):
                connection.send(b"x")


if __name__ == "__main__":
    if not idle.allow_files(int(sys.argv[2])):
        sys.exit("too few open files are allowed (ulimit -Hn)")
    drips = Drips(int(sys.argv[1]), int(sys.argv[2]))
    drips.run(sys.stdin)
    print(drips.cuts, flush=True)
