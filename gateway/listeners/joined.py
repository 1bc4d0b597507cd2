"""Two Applications behind one listener: calls of gRPC to one, everything else to the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from gateway.core.tensor import Buffer
from gateway.listeners.exchange import Answer, Application, Head, Intake

_GRPC: Final = "application/grpc"


class Joined:
    """Chooses by the request's content type. What never became a request is refused by ``rest``."""

    def __init__(self, rest: Application, rpc: Application) -> None:
        self._rest = rest
        self._rpc = rpc

    def __repr__(self) -> str:
        return f"<Joined {self._rest!r} {self._rpc!r}>"

    def open(self, head: Head) -> Intake | Answer:
        """Ask the one that it is for."""
        return self._choose(head).open(head)

    def answer(self, head: Head, body: Buffer | AsyncIterator[Buffer]) -> Coroutine[Any, Any, Answer]:
        """Return the coroutine of the one that it is for."""
        return self._choose(head).answer(head, body)

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        """Refuse in the terms of the one that it is for."""
        return (self._rest if head is None else self._choose(head)).refuse(head, status, message)

    def _choose(self, head: Head) -> Application:
        for name, value in head.headers:
            if name == "content-type":
                return self._rpc if value.startswith(_GRPC) else self._rest
        return self._rest


_: type[Application] = Joined
