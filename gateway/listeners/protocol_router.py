"""Several applications behind one listener: each request goes to the first that takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, Application, BodyPolicy, Head, PendingAnswer, RequestBody

_GRPC: Final = "application/grpc"
_NOTE: Final = "application"


def is_grpc(head: Head) -> bool:
    """Whether the request is a gRPC call, by its content type."""
    return head.get("content-type").startswith(_GRPC)


class ProtocolRouter:
    """Chooses an application for each request.

    Args:
        choices: each an application and what says whether a request is its own; the first that does takes it.
        otherwise: takes the rest, and refuses what never became a request.
    """

    def __init__(self, *choices: tuple[Callable[[Head], bool], Application], otherwise: Application) -> None:
        self._choices = choices
        self._otherwise = otherwise

    def __repr__(self) -> str:
        applications = [*(application for _, application in self._choices), self._otherwise]
        return f"<ProtocolRouter {' '.join(map(repr, applications))}>"

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
        return (self._otherwise if head is None else self._choose(head)).refuse(head, status, message)

    def _choose(self, head: Head) -> Application:
        chosen: Application | None = head.notes.get(_NOTE)
        if chosen is None:
            # Once per head: the notes of one that is repeated stay.
            chosen = next(
                (application for takes, application in self._choices if takes(head)), self._otherwise
            )
            head.notes[_NOTE] = chosen
        return chosen


_: type[Application] = ProtocolRouter
