"""Name servers that answer as they are told."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest


class Names:
    """Takes the place of the running loop's resolver, for names; addresses stay what they are.

    Each answer is a list of addresses, an exception, or None for never; the last one is repeated.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.lookups = 0
        self.answers = list(answers)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self)

    async def __call__(self, host: str, port: int, **_options: Any) -> Any:
        if ":" in host or host.replace(".", "").isdecimal():
            return [_entry(host, port)]
        self.lookups += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return [_entry(address, port) for address in answer]


def _entry(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)
