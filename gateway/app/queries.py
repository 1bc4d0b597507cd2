"""What is asked of endpoints about models: each question once at a time, nobody more than a share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from gateway.core.address import network
from gateway.core.catalog import ModelSpec
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller

MAX_QUERIES: Final = 16
"""Queries of one asker under way at once."""

KEPT_S: Final = 10.0
"""Seconds for which an answer is remembered, also that there is no such model."""

FAILED_KEPT_S: Final = 1.0
"""Seconds for which it is remembered that nobody answers: soon somebody may."""

STALE_S: Final = 3600.0
"""Seconds for which the last answer stands in for an endpoint that cannot be asked: what it told of its
models seldom changes, and clients ask before they send anything."""

UNKNOWN_PER_S: Final = 10.0
UNKNOWN_AT_ONCE: Final = 50.0
"""Queries of one asker for models that are not there, in the long run and at once: names can be made up as
fast as they can be sent."""

ALL_ANONYMOUS: Final = 8
"""Of all that one asker may do, how many times all callers without a key may do it together."""

_ANSWERS: Final = frozenset({Fault.NOT_FOUND, Fault.INVALID, Fault.UNSUPPORTED})
"""Faults with which an endpoint has answered: what it answered before does not hold any longer."""

_NOWHERE: Final = "unknown"
"""The address of those whose address is not known; they share one share."""

MAX_ANSWERS: Final = 4096
MAX_ANSWER_BYTES: Final = 16 << 20
"""Of all that is remembered of models that are there, roughly."""

_PART_BYTES: Final = 512
_MAX_UNKNOWN: Final = 256
_MAX_SHARES: Final = 1024

Key = tuple[int, str, str, str, str]
"""The serial of the generation in force, the endpoint, what is asked of it, the model and its version:
whoever asks the same gets the same answer."""

T = TypeVar("T")
Query = Callable[[], Coroutine[Any, Any, T]]


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name is asked: a tenant's or, without a key, an address's.

    ``to_infer``: for a request that cannot be read without the answer.
    """

    tenant: str
    to_infer: bool
    address: str = ""

    @classmethod
    def of(cls, caller: Caller, *, to_infer: bool = False) -> Asker:
        """Return in whose name an identified caller asks."""
        address = network(caller.address) or _NOWHERE
        return cls(caller.tenant, to_infer, "" if caller.holder else address)

    @property
    def tenants(self) -> Asker:
        """Return the same for all of the tenant."""
        return Asker(self.tenant, self.to_infer)


class Queries:
    """Asks, remembers, and bounds what is asked.

    Every tenant has bounds of its own, one set for questions and one for requests that need an answer: nobody
    is kept waiting by another tenant's, and no request by its own tenant's questions. So has every address
    without a key, and all of those have them together.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers = _Memory(MAX_ANSWERS)
        self._unknown = _Memory(_MAX_UNKNOWN)
        self._flights: dict[Key, _Flight] = {}
        self._shares: dict[Asker, _Share] = {}

    def __repr__(self) -> str:
        kept = len(self._answers) + len(self._unknown)
        return f"<Queries {len(self._flights)} under way, {kept} answers kept>"

    def known(self, key: Key) -> Any:
        """Return what is remembered as the answer to a question; None: nothing, or for too long."""
        kept = self._answers.get(key)
        return kept.value if kept is not None and self._clock.now() < kept.until else None

    async def ask(self, key: Key, asker: Asker, query: Query[T]) -> T:
        """Return the answer to a question, from memory, from a query that is under way, or from a new one.

        The last answer stands in where a new one cannot be had.

        Raises:
            GatewayError: as ``query``; OVERLOADED when the tenant asks too much.
        """
        now = self._clock.now()
        for memory in (self._answers, self._unknown):
            if (kept := memory.get(key)) is not None and now < kept.until:
                return cast("T", kept.give())
        try:
            return cast("T", await self._fly(key, asker, query))
        except GatewayError as error:
            last = self._answers.get(key)
            if error.fault in _ANSWERS or last is None or now >= last.since + STALE_S:
                raise
            return cast("T", last.value)

    async def _fly(self, key: Key, asker: Asker, query: Query[Any]) -> Any:
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = self._start(key, asker, query)
        try:
            return await flight.landing()
        finally:
            if flight.is_deserted and self._flights.get(key) is flight:
                del self._flights[key]
                flight.task.cancel()

    def _start(self, key: Key, asker: Asker, query: Query[Any]) -> _Flight:
        shares, now = self._shares_of(asker), self._clock.now()
        if not all(share.allows(now) for share in shares):
            raise GatewayError(
                Fault.OVERLOADED, "too many questions about models were asked; ask again later"
            )
        for share in shares:
            share.begin()
        flight = _Flight(asyncio.get_running_loop().create_task(query()))
        flight.task.add_done_callback(lambda _: self._land(key, shares, flight))
        return flight

    def _land(self, key: Key, shares: Sequence[_Share], flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        task, now = flight.task, self._clock.now()
        # Who leaves before the answer comes has asked nevertheless.
        error = GatewayError(Fault.CANCELLED, "left") if task.cancelled() else task.exception()
        is_unknown = isinstance(error, GatewayError) and error.fault is Fault.NOT_FOUND
        for share in shares:
            share.end(is_forgiven=not task.cancelled() and not is_unknown)
        if error is None:
            self._unknown.drop(key)
            self._answers.keep(key, _Answer(now, now + KEPT_S, task.result()))
        elif isinstance(error, GatewayError) and not task.cancelled():
            self._failed(key, error, now)

    def _failed(self, key: Key, error: GatewayError, now: float) -> None:
        last = self._answers.get(key)
        has_answered = error.fault in _ANSWERS
        if last is not None and not has_answered and now < last.since + STALE_S:
            # It stands in for a while: an endpoint that is out is asked no more often than one that is well.
            self._answers.keep(key, _Answer(last.since, now + KEPT_S, last.value))
            return
        self._answers.drop(key)
        until = now + (KEPT_S if has_answered else FAILED_KEPT_S)
        self._unknown.keep(key, _Answer(now, until, error=error))

    def _shares_of(self, asker: Asker) -> Sequence[_Share]:
        if len(self._shares) >= _MAX_SHARES:
            now = self._clock.now()
            self._shares = {who: share for who, share in self._shares.items() if not share.is_idle(now)}
        share = self._shares.setdefault(asker, _Share(1))
        if not asker.address:
            return (share,)
        return (share, self._shares.setdefault(asker.tenants, _Share(ALL_ANONYMOUS)))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came at ``since`` and is remembered ``until``, in loop time."""

    since: float
    until: float
    value: Any = None
    error: GatewayError | None = None

    def give(self) -> Any:
        if self.error is not None:
            raise self.error.replaced()
        return self.value


class _Flight:
    """A query under way, and how many wait for it."""

    __slots__ = ("_waiting", "task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self._waiting = 0

    @property
    def is_deserted(self) -> bool:
        """Whether nobody waits any more for what has not come yet."""
        return not self._waiting and not self.task.done()

    async def landing(self) -> Any:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        except GatewayError as error:
            # Each who waits gets an error of its own: their tracebacks differ.
            raise error.replaced() from None
        finally:
            self._waiting -= 1


class _Share:
    """What one asker, or ``size`` of them, may ask: so much at once, and so much that was asked for nothing.

    ``_wasted``: queries for what is not there, forgiven with time.
    """

    __slots__ = ("_since", "_size", "_under_way", "_wasted")

    def __init__(self, size: int) -> None:
        self._size, self._under_way = size, 0
        self._wasted, self._since = 0.0, 0.0

    def allows(self, now: float) -> bool:
        self._wasted = max(0.0, self._wasted - (now - self._since) * UNKNOWN_PER_S * self._size)
        self._since = now
        return self._under_way < MAX_QUERIES * self._size and self._wasted < UNKNOWN_AT_ONCE * self._size

    def is_idle(self, now: float) -> bool:
        return self.allows(now) and not self._under_way and not self._wasted

    def begin(self) -> None:
        self._under_way += 1
        self._wasted += 1

    def end(self, *, is_forgiven: bool) -> None:
        self._under_way -= 1
        if is_forgiven:
            self._wasted = max(0.0, self._wasted - 1)


class _Memory:
    """Answers by key; the oldest go when there are too many, or when they are too large together."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._answers: dict[Key, _Answer] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Key) -> _Answer | None:
        return self._answers.get(key)

    def keep(self, key: Key, answer: _Answer) -> None:
        self.drop(key)
        self._answers[key] = answer
        self._bytes += _size(answer.value)
        while len(self._answers) > self._most or self._bytes > MAX_ANSWER_BYTES:
            self.drop(next(iter(self._answers)))

    def drop(self, key: Key) -> None:
        if (answer := self._answers.pop(key, None)) is not None:
            self._bytes -= _size(answer.value)


def _size(value: Any) -> int:
    """Return about how many bytes an answer takes: a configuration, metadata, or an index."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, ModelSpec):
        return _PART_BYTES * (1 + len(value.versions) + len(value.inputs) + len(value.outputs))
    return _PART_BYTES * len(value) if isinstance(value, Sequence) else 0
