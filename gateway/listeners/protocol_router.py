"""Two applications behind one listener: gRPC calls go to one of them, everything else to the other."""

from __future__ import annotations

from typing import Final

from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, Application, BodyPolicy, Head, PendingAnswer, RequestBody

_GRPC: Final = "application/grpc"
_NOTE: Final = "application"


class ProtocolRouter:
    """Chooses by the request's content type. What never became a request is refused as ``rest`` does it."""

    def __init__(self, rest: Application, grpc: Application) -> None:
        self._rest = rest
        self._grpc = grpc

    def __repr__(self) -> str:
        return f"<ProtocolRouter {self._rest!r} {self._grpc!r}>"

    def open(self, head: Head) -> BodyPolicy | Answer:
        """Open the request with the application that it is for."""
        return self._choose(head).open(head)

    def answer(self, head: Head, body: Buffer) -> AnyAnswer | PendingAnswer:
        """Answer with the application that it is for."""
        return self._choose(head).answer(head, body)

    def answer_stream(self, head: Head, body: RequestBody) -> AnyAnswer | PendingAnswer:
        """Answer a streamed body with the application that it is for."""
        return self._choose(head).answer_stream(head, body)

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        """Refuse as the application does that it is for."""
        return (self._rest if head is None else self._choose(head)).refuse(head, status, message)

    def _choose(self, head: Head) -> Application:
        chosen: Application | None = head.notes.get(_NOTE)
        if chosen is None:
            is_grpc = head.get("content-type").startswith(_GRPC)
            chosen = head.notes[_NOTE] = self._grpc if is_grpc else self._rest
        return chosen


_: type[Application] = ProtocolRouter
