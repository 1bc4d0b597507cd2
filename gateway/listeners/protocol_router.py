"""Two Applications behind one listener: calls of gRPC to one, everything else to the other."""

from __future__ import annotations

from typing import Final

from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, Application, BodyPolicy, Head, PendingAnswer, RequestBody

_GRPC: Final = "application/grpc"
_CHOSEN: Final = "joined"


class ProtocolRouter:
    """Chooses by the request's content type. What never became a request is refused by ``rest``."""

    def __init__(self, rest: Application, rpc: Application) -> None:
        self._rest = rest
        self._rpc = rpc

    def __repr__(self) -> str:
        return f"<ProtocolRouter {self._rest!r} {self._rpc!r}>"

    def open(self, head: Head) -> BodyPolicy | Answer:
        """Ask the one that it is for."""
        return self._choose(head).open(head)

    def answer(self, head: Head, body: Buffer) -> AnyAnswer | PendingAnswer:
        """Let the one answer that it is for."""
        return self._choose(head).answer(head, body)

    def answer_stream(self, head: Head, body: RequestBody) -> AnyAnswer | PendingAnswer:
        """Let the one answer that it is for."""
        return self._choose(head).answer_stream(head, body)

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        """Refuse in the terms of the one that it is for."""
        return (self._rest if head is None else self._choose(head)).refuse(head, status, message)

    def _choose(self, head: Head) -> Application:
        chosen: Application | None = head.notes.get(_CHOSEN)
        if chosen is None:
            is_grpc = head.get("content-type").startswith(_GRPC)
            chosen = head.notes[_CHOSEN] = self._rpc if is_grpc else self._rest
        return chosen


_: type[Application] = ProtocolRouter
