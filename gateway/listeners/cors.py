"""Browsers: which pages of other origins may call the data plane (CORS, as the Fetch standard has it)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec.structs import replace

from gateway.core.tensor import Buffer
from gateway.http.exchange import (
    Answer,
    AnyAnswer,
    Application,
    BodyPolicy,
    Head,
    Pair,
    PendingAnswer,
    RequestBody,
)

ANY: Final = "*"
_Name = Annotated[str, msgspec.Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")]
_Origin = Annotated[str, msgspec.Meta(pattern=r"^(\*|null|[a-z][a-z0-9+.-]*://[!-.0-~]+)\Z")]
_VARY: Final = (b"vary", b"origin")


A = TypeVar("A", bound=AnyAnswer)


class CorsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which pages may call; absent: none that is of another origin.

    ``allow_origins``: of the pages, each ``https://app.example`` without a path, or ``*`` alone for all.
    ``allow_headers``: what a page may send beyond what browsers always let it. ``expose_headers``: what it
    may read of an answer. ``allow_credentials``: whether browsers send cookies and client certificates; not
    with ``*``.
    ``max_age_s``: how long a browser remembers what it was allowed.
    """

    allow_origins: tuple[_Origin, ...]
    allow_headers: tuple[_Name, ...] = (
        "authorization",
        "cache-control",
        "content-type",
        "content-encoding",
        "inference-header-content-length",
        "traceparent",
        "tracestate",
        "x-request-id",
        "x-request-timeout-ms",
    )
    expose_headers: tuple[_Name, ...] = (
        "age",
        "inference-header-content-length",
        "retry-after",
        "x-edgeway-cache",
        "x-edgeway-provenance",
        "x-edgeway-served-by",
        "x-request-id",
    )
    allow_credentials: bool = False
    max_age_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 600

    def __post_init__(self) -> None:
        if not self.allow_origins:
            raise ValueError("allow_origins is empty: leave `cors` out to allow none")
        if ANY in self.allow_origins and len(self.allow_origins) > 1:
            raise ValueError("allow_origins has '*', which is all of them: write no others beside it")
        if ANY in self.allow_origins and self.allow_credentials:
            raise ValueError("allow_credentials needs a list of origins: browsers refuse it with '*'")


class Cors:
    """Answers preflights for ``application``, and tells browsers which pages may read its answers.

    A request itself is answered whatever its origin: this protects pages' users, and no models.
    ``methods_of`` returns the methods of a path; none: there is no such path.
    """

    def __init__(
        self, settings: CorsSettings, application: Application, methods_of: Callable[[str], tuple[str, ...]]
    ) -> None:
        self._settings, self._application, self._methods_of = settings, application, methods_of
        self._origins = frozenset(settings.allow_origins)
        allowed: list[Pair] = []
        if settings.allow_credentials:
            allowed.append((b"access-control-allow-credentials", b"true"))
        self._of_preflights = (
            *allowed,
            (b"access-control-allow-headers", ", ".join(settings.allow_headers).encode()),
            (b"access-control-max-age", b"%d" % settings.max_age_s),
        )
        if settings.expose_headers:
            allowed.append((b"access-control-expose-headers", ", ".join(settings.expose_headers).encode()))
        self._of_answers = tuple(allowed)

    def __repr__(self) -> str:
        return f"<Cors for {', '.join(sorted(self._origins))}: {self._application!r}>"

    def open(self, head: Head) -> BodyPolicy | Answer:
        """Answer a preflight, for which nobody has to be known; else open the request."""
        if head.method == "OPTIONS" and head.get("origin") and head.get("access-control-request-method"):
            return self._preflight(head)
        opened = self._application.open(head)
        return self._marked(head, opened) if isinstance(opened, Answer) else opened

    def answer(self, head: Head, body: Buffer) -> AnyAnswer | PendingAnswer:
        """Answer as the application does."""
        return self._wait(head, self._application.answer(head, body))

    def answer_stream(self, head: Head, body: RequestBody) -> AnyAnswer | PendingAnswer:
        """Answer a streamed body as the application does."""
        return self._wait(head, self._application.answer_stream(head, body))

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        """Refuse as the application does; a page may read why."""
        refused = self._application.refuse(head, status, message)
        return refused if head is None else self._marked(head, refused)

    def _preflight(self, head: Head) -> Answer:
        methods = self._methods_of(head.path)
        if not methods:
            return self._application.refuse(head, 404, "Not Found")
        if not (allowed := self._allowed(head)):
            return replace(
                self._application.refuse(head, 403, "listen.cors does not allow this origin"), extra=(_VARY,)
            )
        listed = (b"access-control-allow-methods", ", ".join(methods).encode())
        return Answer(200, extra=(*allowed, listed, *self._of_preflights))

    def _wait(self, head: Head, answered: AnyAnswer | PendingAnswer) -> AnyAnswer | PendingAnswer:
        if isinstance(answered, AnyAnswer):
            return self._marked(head, answered)
        return self._later(head, answered)

    async def _later(self, head: Head, answered: PendingAnswer) -> AnyAnswer:
        return self._marked(head, await answered)

    def _marked(self, head: Head, answer: A) -> A:
        if allowed := self._allowed(head):
            return replace(answer, extra=(*answer.extra, *allowed, *self._of_answers))
        return answer if ANY in self._origins else replace(answer, extra=(*answer.extra, _VARY))

    def _allowed(self, head: Head) -> tuple[Pair, ...]:
        """Return the headers that name the origin which is allowed; none: it is not."""
        origin = head.get("origin")
        if not origin:
            return ()
        if ANY in self._origins:
            return ((b"access-control-allow-origin", b"*"),)
        if origin not in self._origins:
            return ()
        return (b"access-control-allow-origin", origin.encode("latin-1")), _VARY


_: type[Application] = Cors
