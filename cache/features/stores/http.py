"""An online store over HTTP: one POST for many entities, in this gateway's own form or in Feast's.

How requests get there is ``send``'s: the composition root makes it of the gateway's HTTP client. What is an
answer, and what is none, is decided here; a status other than 200 is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from cache.features.settings import StoreSettings
from cache.features.stores.feast import feast_outcomes, feast_request
from cache.features.stores.store import Outcome, Store
from cache.features.vectors import FLOAT_BYTES, StoreError, listed, raw
from gateway.core.gate import Gate
from gateway.core.tensor import Buffer

BINARY: Final = "application/octet-stream"
_JSON: Final = "application/json"
_OK: Final = 200
_IDS_TIMEOUT_S: Final = 5.0
_MOST_PARTS: Final = 1_000_000
_LENGTH_BYTES: Final = 4
_NAME: Final = msgspec.json.Encoder().encode


class StoreAnswer(NamedTuple):
    """An answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Buffer


class Send(NamedTuple):
    """What sends requests to the store. ``call``: verb, target, headers, body.

    It raises StoreError where no answer comes; cancelling it closes its connection.
    """

    call: Callable[[str, str, Mapping[str, str], bytes], Awaitable[StoreAnswer]]
    aclose: Callable[[], Awaitable[None]]


class _Vectors(msgspec.Struct):
    vectors: list[Any]


class _Ids(msgspec.Struct):
    ids: list[str]
    cursor: str | None = None


class HttpStore:
    """The store at ``settings.http``; ``gate`` shuts it off for a while when it fails."""

    def __init__(self, settings: StoreSettings, send: Send, *, gate: Gate) -> None:
        self._settings, self._send, self._gate = settings, send, gate
        self._timeout_s = settings.timeout_ms / 1000
        url = urlsplit(settings.http or "")
        self._path = url.path.rstrip("/") + (f"?{url.query}" if url.query else "")

    def __repr__(self) -> str:
        return f"<HttpStore {self._settings.protocol}, {self._settings.timeout_ms} ms>"

    async def fetch(self, names: Sequence[bytes]) -> Sequence[Outcome]:
        """Return the outcomes of ``names`` after one POST."""
        ids = [name.decode() for name in names]
        if self._settings.protocol == "feast":
            answer = await self._ask(
                "POST", self._path + "/get-online-features", feast_request(self._settings, ids)
            )
            return feast_outcomes(self._settings, answer.body, len(ids))
        answer = await self._ask("POST", self._path or "/", _NAME({"ids": ids}))
        if answer.headers.get("content-type", "").partition(";")[0].strip() == BINARY:
            return binary_outcomes(bytes(answer.body), len(ids))
        return json_outcomes(answer.body, len(ids))

    async def known_ids(self) -> AsyncIterator[Sequence[bytes]]:
        """Yield the ids that the store lists, a part at a time."""
        known, cursor = self._settings.known_ids, ""
        path = known.path if known is not None and known.path is not None else ""
        for _ in range(_MOST_PARTS):
            query = f"{'&' if '?' in path else '?'}cursor={quote(cursor, safe='')}" if cursor else ""
            answer = await self._ask("GET", path + query, b"", _IDS_TIMEOUT_S)
            try:
                part = msgspec.json.decode(answer.body, type=_Ids)
                yield [each.encode() for each in part.ids]
            except (msgspec.MsgspecError, UnicodeError) as error:
                raise StoreError("garbage") from error
            cursor = part.cursor or ""
            if not cursor:
                return
        raise StoreError("too_many")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._send.aclose()

    async def _ask(self, verb: str, path: str, body: bytes, timeout_s: float | None = None) -> StoreAnswer:
        gate_pass = self._gate.admit()
        if gate_pass is None:
            raise StoreError("skipped")
        headers = {"accept": f"{BINARY}, {_JSON}"} | ({"content-type": _JSON} if body else {})
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                answer = await self._send.call(verb, path, headers, body)
        except TimeoutError as error:
            gate_pass.failed("timeout")
            raise StoreError("timeout") from error
        except StoreError as error:
            gate_pass.failed(error.reason)
            raise
        except BaseException:
            gate_pass.left()
            raise
        if answer.status != _OK:
            reason = f"status_{answer.status}" if answer.status >= 400 else "status"
            gate_pass.failed(reason)
            raise StoreError(reason)
        gate_pass.succeeded()
        return answer


def json_outcomes(body: Buffer, count: int) -> list[Outcome]:
    """Return the outcomes in ``{"vectors": [[0.5, ...], null, ...]}``.

    Raises:
        StoreError: it is none of that, or not of ``count`` entities.
    """
    try:
        vectors = msgspec.json.decode(body, type=_Vectors).vectors
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise StoreError("garbage") from error
    if len(vectors) != count:
        raise StoreError("garbage")
    return [None if each is None else outcome_of(each) for each in vectors]


def binary_outcomes(body: bytes, count: int) -> list[Outcome]:
    """Return the outcomes in a body that has, for each entity, a uint32 length in bytes and raw float32.

    Length 0: there is no such entity. All is little-endian.

    Raises:
        StoreError: it is cut, or not of ``count`` entities.
    """
    outcomes: list[Outcome] = []
    position = 0
    while position + _LENGTH_BYTES <= len(body) and len(outcomes) < count:
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(body[position:start], "little")
        outcomes.append(_raw(body[start:position]) if position > start else None)
    if position != len(body) or len(outcomes) != count:
        raise StoreError("garbage")
    return outcomes


def outcome_of(values: Any) -> Outcome:
    """Return the vector of ``values``, or why it is none."""
    try:
        return listed(values)
    except StoreError as error:
        return error


def _raw(data: bytes) -> Outcome:
    try:
        return raw(data)
    except StoreError as error:
        return error


MOST_BYTES_OF_ONE: Final = 12
"""What a float of a vector takes as JSON, about: bodies are bounded by it."""


def most_body_bytes(settings: StoreSettings) -> int:
    """Return how large an answer of the store may be."""
    floats = settings.max_vector_bytes // FLOAT_BYTES
    return min(64 << 20, (1 << 20) + settings.max_batch * floats * 2 * MOST_BYTES_OF_ONE)


_: type[Store] = HttpStore
