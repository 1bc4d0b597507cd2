"""A connection that is none: drives an Application over its seam, as a listener would.

Example::

    wire = Wire(RestApplication(fake_data_plane(EchoService())))
    reply = await wire.ask("GET", "/v2")
    reply.status, reply.headers["content-type"], reply.json()
    assert not reply.waited     # the answer came in the first step: it has cost no task
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.http.exchange import (
    Answer,
    AnyAnswer,
    Application,
    Head,
    PendingAnswer,
    RequestBody,
    StreamedAnswer,
)


@dataclass
class Reply:
    """What went back. ``trailers`` are there when a connection would have sent them."""

    status: int
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    waited: bool = False
    close: bool = False

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        return self.json()["error"]


class Wire:
    """One client's connection to ``application``."""

    def __init__(self, application: Application, *, peer: str = "127.0.0.1", is_http2: bool = False) -> None:
        self.application = application
        self.peer = peer
        self.is_http2 = is_http2

    def head(self, method: str, path: str, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Head:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        received = (("host", "test"), *((name.lower(), value) for name, value in pairs))
        return Head(method, path, received, self.peer, is_http2=self.is_http2)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = b"",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Reply:
        """Send one request; ``body`` is bytes, an async iterator, or a value to be sent as JSON."""
        if not isinstance(body, bytes | AsyncIterator):
            body = msgspec.json.encode(body)
        head = self.head(method, path, headers)
        policy = self.application.open(head)
        if isinstance(policy, Answer):
            return await read(policy)
        if isinstance(body, bytes) and len(body) > policy.max_bytes:
            return await read(self.application.refuse(head, 413, "too large"))
        if policy.is_stream:
            body = in_pieces(body) if isinstance(body, bytes) else body
            body = body if isinstance(body, RequestBody) else Parts(body)
            answer, waited = await stepped(self.application.answer_stream(head, body))
        else:
            if not isinstance(body, bytes):
                body = b"".join([bytes(piece) async for piece in body])
            answer, waited = await stepped(self.application.answer(head, body))
        return await read(answer, waited=waited)


class Parts(RequestBody):
    """A body as an application reads it, out of ``parts``; it keeps what its reader says about it."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self.parts = parts
        self.leaves = False
        self.waits: list[int] = []
        self.needless = 0

    async def __anext__(self) -> bytes:
        return await anext(self.parts)

    @property
    def is_leaving(self) -> bool:
        return self.leaves

    def within(self, size: int) -> None:
        self.waits.append(size)

    def consumed(self, size: int) -> None:
        self.needless += size


def in_pieces(body: bytes, size: int = 7) -> Parts:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return Parts(pieces())


async def stepped(answered: AnyAnswer | PendingAnswer) -> tuple[AnyAnswer, bool]:
    """Step once by hand; only what waits goes on in the test's task. The second value says whether it did."""
    if isinstance(answered, Answer | StreamedAnswer):
        return answered, False
    coroutine = answered
    try:
        awaited = coroutine.send(None)
    except StopIteration as end:
        return end.value, False
    return await _rest(coroutine, awaited), True


@types.coroutine
def _rest(coroutine: Any, awaited: Any) -> Any:
    while True:
        try:
            sent = yield awaited
        except BaseException as error:  # noqa: BLE001 - it is thrown in where it was awaited
            step, value = coroutine.throw, error
        else:
            step, value = coroutine.send, sent
        try:
            awaited = step(value)
        except StopIteration as end:
            return end.value


async def read(answer: AnyAnswer, *, waited: bool = False) -> Reply:
    if isinstance(answer, Answer):
        parts, trailers = [bytes(part) for part in answer.body], answer.trailers
    else:
        parts = [bytes(part) async for part in answer.source]
        trailers = answer.source.trailers()
        await answer.source.aclose()
    return Reply(
        answer.status,
        _texts((*answer.fields.pairs, *answer.extra)),
        b"".join(parts),
        _texts(trailers),
        parts,
        waited,
        answer.close,
    )


def _texts(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    texts = [(name.decode("ascii"), value.decode("ascii")) for name, value in pairs]
    assert len(dict(texts)) == len(texts), "a field is given twice"
    assert all(name == name.lower() and "\n" not in value for name, value in texts)
    return dict(texts)
