"""The order in which requests wait for one model: by priority, then late ones last, then first come.

As in Triton a priority is strict: whoever waits at a low one is served when nobody waits at a higher one, and
may wait as long as its policy and its deadline allow.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from edge_models.settings import BatchingSettings, QueuePolicy

_US: Final = 1e-6


class Prioritised(Protocol):
    """What waits since ``arrived``; the lower its ``level``, the sooner; ``delayed``: after others of it."""

    arrived: float
    level: int
    delayed: bool


T = TypeVar("T", bound=Prioritised)


class LevelPolicy(NamedTuple):
    """How long a request may wait, in seconds, what comes of it then, and how many may wait."""

    timeout_s: float
    delays: bool
    max_waiting: int


class Priorities:
    """The levels of one model, and their policies."""

    def __init__(self, settings: BatchingSettings) -> None:
        self._levels = settings.priority_levels
        self._default_level = settings.default_priority_level
        self._default = _policy(settings.default_queue_policy, settings.max_queue_size)
        self._policies: Mapping[int, LevelPolicy] = {
            level: _policy(policy, settings.max_queue_size)
            for level, policy in settings.priority_queue_policy.items()
        }

    def __repr__(self) -> str:
        return f"<Priorities {self._levels or 'none'}>"

    def level(self, priority: int) -> int:
        """Return the level of a request that says ``priority``: 0 and too many: the default."""
        return priority if 0 < priority <= self._levels else self._default_level

    def policy(self, level: int) -> LevelPolicy:
        """Return how requests of ``level`` wait."""
        return self._policies.get(level, self._default)


class WaitingRequests(Generic[T]):
    """A queue of several levels, each with those that are in time before those that were delayed."""

    def __init__(self) -> None:
        self._queues: dict[tuple[int, bool], deque[T]] = {}
        self._length = 0

    def __repr__(self) -> str:
        levels = ", ".join(f"{len(queue)} at {level}" for (level, _), queue in self._queues.items())
        return f"<WaitingRequests {levels or 'none'}>"

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        """Go through the requests in the order in which they will be served."""
        for queue in self._queues.values():
            yield from queue

    def count(self, level: int) -> int:
        """Return how many wait at ``level``."""
        return sum(len(self._queues.get((level, delayed), ())) for delayed in (False, True))

    def append(self, request: T) -> None:
        """Have ``request`` wait behind those of its level."""
        key = (request.level, request.delayed)
        queue = self._queues.get(key)
        if queue is None:
            # Levels come and go with their requests: there may be as many as there are numbers.
            self._queues[key] = deque((request,))
            if len(self._queues) > 1:
                self._queues = dict(sorted(self._queues.items()))
        else:
            queue.append(request)
        self._length += 1

    def first(self) -> T:
        """Return the request that is served next."""
        return next(iter(self._queues.values()))[0]

    def oldest(self) -> T:
        """Return the request that waits longest, of those that are the next of their level."""
        queues = self._queues.values()
        return self.first() if len(queues) == 1 else min([queue[0] for queue in queues], key=_arrived)

    def last(self, level: int) -> T:
        """Return the request of ``level`` that is served last of those that wait."""
        queue = self._queues.get((level, True)) or self._queues[level, False]
        return queue[-1]

    def take(self, count: int) -> list[T]:
        """Take out the first ``count`` requests."""
        taken: list[T] = []
        while len(taken) < count:
            key, queue = next(iter(self._queues.items()))
            taken.append(queue.popleft())
            if not queue:
                del self._queues[key]
        self._length -= count
        return taken

    def remove(self, request: T) -> None:
        """Take out ``request``, wherever it waits."""
        key = (request.level, request.delayed)
        queue = self._queues[key]
        queue.remove(request)
        if not queue:
            del self._queues[key]
        self._length -= 1

    def delay(self, request: T) -> None:
        """Have ``request`` wait behind those of its level that are in time."""
        self.remove(request)
        request.delayed = True
        self.append(request)


def _arrived(request: Prioritised) -> float:
    return request.arrived


def _policy(policy: QueuePolicy, max_waiting: int) -> LevelPolicy:
    timeout_us = policy.default_timeout_microseconds
    return LevelPolicy(
        timeout_us * _US if timeout_us else math.inf,
        policy.timeout_action == "DELAY",
        policy.max_queue_size or max_waiting,
    )
