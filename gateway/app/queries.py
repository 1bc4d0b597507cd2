"""What is asked of endpoints about models: each question once at a time, nobody more than a share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.catalog import ModelSpec
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError

MAX_QUERIES: Final = 16
"""Queries of one tenant under way at once, of each purpose."""

KEPT_S: Final = 5.0
UNKNOWN_KEPT_S: Final = 1.0
"""Seconds for which it is remembered that a model is there, or is not."""

UNKNOWN_PER_S: Final = 10.0
UNKNOWN_AT_ONCE: Final = 50.0
"""Queries of one tenant and purpose for models that are not there, in the long run and at once: names can be
made up as fast as they can be sent."""

_REMEMBERED: Final = 256

Key = tuple[int, str, str, str]
"""The policy generation, the route, the model and its version: whoever asks the same gets the same answer."""

Query = Callable[[], Coroutine[Any, Any, ModelSpec]]


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name is asked; ``to_infer``: for a request that cannot be read without."""

    tenant: str
    to_infer: bool


class Queries:
    """Asks, remembers, and bounds what is asked.

    Every tenant has bounds of its own, one set for questions and one for requests that need an answer: nobody
    is kept waiting by another tenant's, and no request by its own tenant's questions.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[Key, _Answer] = {}
        self._unknown: dict[Key, _Answer] = {}
        self._flights: dict[Key, _Flight] = {}
        self._under_way: Counter[Asker] = Counter()
        self._debts: dict[Asker, _Debt] = {}

    def __repr__(self) -> str:
        kept = len(self._answers) + len(self._unknown)
        return f"<Queries {self._under_way.total()} under way, {kept} answers kept>"

    async def ask(self, key: Key, asker: Asker, query: Query) -> ModelSpec:
        """Return the answer to a question, from memory, from a query that is under way, or from a new one.

        Raises:
            GatewayError: as ``query``; OVERLOADED when the tenant asks too much.
        """
        now = self._clock.now()
        for memory in (self._answers, self._unknown):
            if (kept := memory.get(key)) is not None and now < kept.until:
                return kept.give()
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = self._start(key, asker, query)
        try:
            return await flight.landing()
        finally:
            if flight.is_deserted and self._flights.get(key) is flight:
                del self._flights[key]
                flight.task.cancel()

    def _start(self, key: Key, asker: Asker, query: Query) -> _Flight:
        now = self._clock.now()
        debt = self._debts.setdefault(asker, _Debt(now))
        if self._under_way[asker] >= MAX_QUERIES or not debt.allows(now):
            raise GatewayError(
                Fault.OVERLOADED, "too many questions about models were asked; ask again later"
            )
        # Who leaves before the answer comes has asked nevertheless.
        debt.add(1)
        self._under_way[asker] += 1
        flight = _Flight(asyncio.get_running_loop().create_task(query()))
        flight.task.add_done_callback(lambda _: self._land(key, asker, flight))
        return flight

    def _land(self, key: Key, asker: Asker, flight: _Flight) -> None:
        self._under_way[asker] -= 1
        if self._flights.get(key) is flight:
            del self._flights[key]
        task = flight.task
        if task.cancelled():
            return
        now, error = self._clock.now(), task.exception()
        if isinstance(error, GatewayError) and error.fault is Fault.NOT_FOUND:
            _keep(self._unknown, key, _Answer(now + UNKNOWN_KEPT_S, error=error))
            return
        self._debts[asker].add(-1)
        if error is None:
            _keep(self._answers, key, _Answer(now + KEPT_S, task.result()))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is remembered ``until`` a loop time."""

    until: float
    spec: ModelSpec | None = None
    error: GatewayError | None = None

    def give(self) -> ModelSpec:
        if self.spec is not None:
            return self.spec
        assert self.error is not None, "it is one or the other"
        raise self.error.replaced()


class _Flight:
    """A query under way, and how many wait for it."""

    __slots__ = ("_waiting", "task")

    def __init__(self, task: asyncio.Task[ModelSpec]) -> None:
        self.task = task
        self._waiting = 0

    @property
    def is_deserted(self) -> bool:
        """Whether nobody waits any more for what has not come yet."""
        return not self._waiting and not self.task.done()

    async def landing(self) -> ModelSpec:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        except GatewayError as error:
            # Each who waits gets an error of its own: their tracebacks differ.
            raise error.replaced() from None
        finally:
            self._waiting -= 1


class _Debt:
    """How much too much was asked, which is forgiven with time."""

    __slots__ = ("_amount", "_since")

    def __init__(self, now: float) -> None:
        self._amount, self._since = 0.0, now

    def allows(self, now: float) -> bool:
        self._amount = max(0.0, self._amount - (now - self._since) * UNKNOWN_PER_S)
        self._since = now
        return self._amount < UNKNOWN_AT_ONCE

    def add(self, amount: float) -> None:
        self._amount += amount


def _keep(memory: dict[Key, _Answer], key: Key, answer: _Answer) -> None:
    """Remember an answer; the oldest goes when there are too many."""
    memory.pop(key, None)
    if len(memory) >= _REMEMBERED:
        del memory[next(iter(memory))]
    memory[key] = answer
