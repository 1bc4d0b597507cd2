"""What connections and applications exchange: request heads and bodies, and answers.

Connections (HTTP/1.1, HTTP/2) know framing, limits and time and nothing of models. Applications know the
protocol of models and nothing of sockets. They exchange the values of this module.

An application is called twice. ``open`` sees a request's head before a byte of its body is waited for, and
refuses it or returns how its body is taken. ``answer`` gets the whole body, ``answer_stream`` one that it
reads while it comes. Both return an answer, or a coroutine of one. The connection runs such a coroutine up
to its first wait; only one that has to wait becomes a task. An answer is whole (``Answer``), or its body
comes from a source (``StreamedAnswer``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
from typing import Any, Protocol

import msgspec

from gateway.core.tensor import Buffer

Pair = tuple[bytes, bytes]
Whole = tuple[Buffer, ...] | list[Buffer]


class Head(msgspec.Struct, frozen=True):
    """What comes before a request's body.

    ``path`` is as on the wire: ASCII, origin form, with its query. ``headers`` in the order of arrival, names
    in lower case, values Latin-1 without surrounding blanks; HTTP/2's ``:authority`` is there as ``host``.
    ``peer``: the address of the client's socket or, where the listener requires it, what PROXY protocol
    says; empty when it has none.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    peer: str = ""
    is_http2: bool = False
    notes: dict[str, Any] = msgspec.field(default_factory=dict)
    """What applications have found out about this head. Connections give out the same object when a client
    sends the same head again, so that it has to be read only once."""

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of header ``name`` (lower case)."""
        for key, value in self.headers:
            if key == name:
                return value
        return default

    def all(self, name: str) -> list[str]:
        """Return every value of header ``name`` (lower case)."""
        return [value for key, value in self.headers if key == name]


class Fields:
    """Header fields that many answers share: rendered once for HTTP/1.1, packed once for HTTP/2.

    Names are lower case. Content-Length, Date, Server and the fields that concern the connection are not
    among them: connections add those. ``is_bare``: HTTP/2 adds neither Date nor Server, for clients that show
    every header to their callers.
    """

    __slots__ = ("is_bare", "lines", "pairs")

    def __init__(self, *pairs: Pair, is_bare: bool = False) -> None:
        self.pairs, self.is_bare = pairs, is_bare
        self.lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)

    def __repr__(self) -> str:
        return f"<Fields {', '.join(name.decode() for name, _ in self.pairs)}>"


NO_FIELDS = Fields()


class Answer(msgspec.Struct, frozen=True):
    """A whole answer.

    ``fields`` are shared between answers, ``extra`` belong to this one. ``body``: its parts. ``trailers`` go
    after the body on HTTP/2; an empty body with trailers is sent as trailers alone.
    ``close``: the connection ends after it. ``request_id``: of the request that it answers; where it is empty
    the connection makes one. Awaiting an answer gives it.
    """

    status: int
    fields: Fields = NO_FIELDS
    body: Whole = ()
    extra: tuple[Pair, ...] = ()
    trailers: tuple[Pair, ...] = ()
    close: bool = False
    request_id: bytes = b""

    def __await__(self) -> Generator[Any, Any, Answer]:
        """Return the answer at once."""
        yield from ()
        return self


class BodySource(Protocol):
    """Where the body of a streamed answer comes from.

    The connection iterates over it once, no faster than the peer reads, then reads its trailers. Whatever
    becomes of the answer, it calls ``aclose`` once at the end; also when it never asked for a part, because
    the client left before or wanted only the headers. An iteration that raises ends the HTTP/1.1 connection,
    or resets the HTTP/2 stream: the client sees that the body is not complete.
    """

    def __aiter__(self) -> AsyncIterator[Buffer]:
        """Return the parts; each is sent as soon as it is there.

        The iteration is cancelled when the client leaves or does not read for too long.
        """
        ...

    def trailers(self) -> tuple[Pair, ...]:
        """Return what goes after the body on HTTP/2; asked for once, after the last part."""
        ...

    async def aclose(self) -> None:
        """Release what the source holds; the iteration is over, or never began."""
        ...


class GeneratedBody:
    """The parts that an async generator gives, without trailers."""

    __slots__ = ("_parts",)

    def __init__(self, parts: AsyncGenerator[Buffer, None]) -> None:
        self._parts = parts

    def __repr__(self) -> str:
        return f"<GeneratedBody of {self._parts!r}>"

    def __aiter__(self) -> AsyncIterator[Buffer]:
        """Return the generator."""
        return self._parts

    def trailers(self) -> tuple[Pair, ...]:
        """Return no trailers."""
        return ()

    async def aclose(self) -> None:
        """Close the generator."""
        await self._parts.aclose()


_: type[BodySource] = GeneratedBody


class StreamedAnswer(msgspec.Struct, frozen=True):
    """An answer whose body comes part by part, and whose trailers are known after the last of them.

    All but ``source`` as ``Answer`` has them. Its headers are sent before the first part.
    """

    status: int
    fields: Fields
    source: BodySource
    extra: tuple[Pair, ...] = ()
    close: bool = False
    request_id: bytes = b""


AnyAnswer = Answer | StreamedAnswer

PendingAnswer = Coroutine[Any, Any, AnyAnswer]
"""An answer that has to be waited for."""


class BodyPolicy(msgspec.Struct, frozen=True):
    """How an application takes a body: at most ``max_bytes`` of it; whole, or as a stream as it comes.

    ``holder``: in whose name the memory of the body is booked, beside its address; empty: nobody is known.
    """

    max_bytes: int
    is_stream: bool = False
    holder: str = ""


class ConnectionClosing(Exception):  # noqa: N818 - it is no error, but the end of a conversation
    """The connection ends: what comes from here on is not answered any more."""


class RequestBody(AsyncIterator[Buffer]):
    """A body that is read while it comes, part by part.

    Only its reader knows where its messages end, and reports what depends on that. The iteration ends with
    the body. It raises ConnectionResetError when the peer left before, and ConnectionClosing when the
    connection ends: messages that have begun by that time are given out before, and none that begins later is
    waited for.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def is_leaving(self) -> bool:
        """Whether the connection ends."""

    @abstractmethod
    def within(self, size: int) -> None:
        """Take note that ``size`` bytes of a message are there and the rest is waited for; 0: of none."""

    @abstractmethod
    def consumed(self, size: int) -> None:
        """Take note that ``size`` bytes that were read are needed no more; till then they are counted."""


class Application(Protocol):
    """Answers requests.

    An application that takes streamed bodies overrides ``answer_stream``; one that takes none inherits it.
    """

    def open(self, head: Head) -> BodyPolicy | Answer:
        """Decide how the body is taken, or refuse with an answer; must not wait and must not raise."""
        ...

    def answer(self, head: Head, body: Buffer) -> AnyAnswer | PendingAnswer:
        """Answer a request whose whole body is there.

        A coroutine is cancelled when the client leaves or resets its stream. Nothing is raised but
        CancelledError.
        """
        ...

    def answer_stream(
        self,
        head: Head,  # noqa: ARG002 - for those that override it
        body: RequestBody,  # noqa: ARG002 - likewise
    ) -> AnyAnswer | PendingAnswer:
        """Answer a request whose body is read while it comes: where its policy has ``is_stream``."""
        raise RuntimeError(f"{self!r} takes no streamed bodies, and was given one to answer")

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        """Render a refusal of the connection's own: 400, 408, 413, 431 and the like.

        ``head`` is None when the request never became one. ``message`` is fit for strangers.
        """
        ...
