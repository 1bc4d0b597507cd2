"""The requests that wait for one model, each in the queue of its scope, and whose turn it is.

Scopes that wait take turns, a batch each, so that whoever sends much makes each batch of another wait for
one of its own and no more. A turn is a batch and not a number of rows: what a batch costs others is a run,
and a scope whose requests do not fit together would otherwise have many of them.

A queue is looked at again when something has happened to it: then it is a candidate, at the end of the line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from typing import Final, Generic, TypeVar

from edge_models.answer_order import AnswerOrder
from edge_models.waiting_requests import Prioritised, WaitingRequests

KEPT_IDLE: Final = 64
"""Queues that are kept although nothing is in them: most processes have fewer tenants."""

T = TypeVar("T", bound=Prioritised)


class ScopeQueue(Generic[T]):
    """The queue of one scope, which knows nothing of others.

    ``order``: that of its answers. ``running``: its batches that run. ``pace_s``: seconds of the last one.
    ``timed``: the request whose delay the timer waits for.
    """

    __slots__ = ("_timer", "order", "pace_s", "running", "scope", "timed", "waiting")

    def __init__(self, scope: Hashable, order: AnswerOrder | None) -> None:
        self.scope = scope
        self.order = order
        self.waiting: WaitingRequests[T] = WaitingRequests()
        self.running = 0
        self.pace_s = 0.0
        self.timed: T | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<ScopeQueue {self.scope!r} {self.waiting!r}, {self.running} running>"

    def watch(self, request: T, timer: asyncio.TimerHandle) -> None:
        """Have ``timer`` wait for ``request``, and no other."""
        self.unwatch()
        self.timed, self._timer = request, timer

    def unwatch(self) -> None:
        """Wait for no request's delay."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.timed = None


class ScopeQueues(Generic[T]):
    """The queues of all scopes of one model. ``ordered``: answers keep the order of requests."""

    def __init__(self, *, ordered: bool = False) -> None:
        self._ordered = ordered
        self._by_scope: dict[Hashable, ScopeQueue[T]] = {}
        self._candidates: dict[ScopeQueue[T], None] = {}
        self._by_level: dict[int, int] = {}
        self._length = 0

    def __repr__(self) -> str:
        return f"<ScopeQueues {self._length} queued, {len(self._by_scope)} scopes>"

    def __len__(self) -> int:
        return self._length

    @property
    def num_scopes(self) -> int:
        """How many have a queue: those in use, and at most ``KEPT_IDLE`` others."""
        return len(self._by_scope)

    def of(self, scope: Hashable) -> ScopeQueue[T]:
        """Return the queue of ``scope``; something must be appended to it, for idle ones are forgotten."""
        queue = self._by_scope.get(scope)
        if queue is None:
            queue = self._by_scope[scope] = ScopeQueue(scope, AnswerOrder() if self._ordered else None)
        return queue

    def find(self, scope: Hashable) -> ScopeQueue[T] | None:
        """Return the queue of ``scope``; None: there is none."""
        return self._by_scope.get(scope)

    def all(self) -> Iterable[ScopeQueue[T]]:
        """Return all queues, as they are now."""
        return tuple(self._by_scope.values())

    def count(self, level: int) -> int:
        """Return how many wait at ``level``, over all scopes."""
        return self._by_level.get(level, 0)

    def longest(self, level: int) -> ScopeQueue[T]:
        """Return the queue that has most at ``level``."""
        return max(self._by_scope.values(), key=lambda queue: queue.waiting.count(level))

    def append(self, queue: ScopeQueue[T], request: T) -> None:
        """Have ``request`` wait in ``queue``."""
        queue.waiting.append(request)
        self._length += 1
        level = request.level
        self._by_level[level] = self._by_level.get(level, 0) + 1
        self._candidates[queue] = None

    def remove(self, queue: ScopeQueue[T], request: T) -> None:
        """Take ``request`` out of ``queue``."""
        queue.waiting.remove(request)
        self._took(request)
        if queue.timed is request:
            queue.unwatch()
        self.wake(queue)

    def take(self, queue: ScopeQueue[T], count: int) -> list[T]:
        """Take the first ``count`` requests out of ``queue``; all other candidates come before it now."""
        taken = queue.waiting.take(count)
        for request in taken:
            self._took(request)
        queue.unwatch()
        self._candidates.pop(queue, None)
        self.wake(queue)
        return taken

    def wake(self, queue: ScopeQueue[T]) -> None:
        """Note that something has happened to ``queue``: a batch may be due."""
        if queue.waiting:
            self._candidates[queue] = None
        else:
            self._candidates.pop(queue, None)

    def rest(self, queue: ScopeQueue[T]) -> None:
        """Note that nothing is due in ``queue`` until something happens to it."""
        self._candidates.pop(queue, None)

    def candidate(self) -> ScopeQueue[T] | None:
        """Return the queue that may be due and whose turn it is."""
        return next(iter(self._candidates), None)

    def forget_if_idle(self, queue: ScopeQueue[T]) -> None:
        """Forget ``queue`` when nothing is in it nor runs, and there are many."""
        if len(self._by_scope) > KEPT_IDLE and not (queue.waiting or queue.running):
            self._by_scope.pop(queue.scope, None)

    def _took(self, request: T) -> None:
        self._length -= 1
        left = self._by_level[request.level] - 1
        if left:
            self._by_level[request.level] = left
        else:
            # Levels come and go with their requests: there may be as many as there are numbers.
            del self._by_level[request.level]
