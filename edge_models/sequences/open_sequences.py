"""The sequences of one version of a model that have begun and not ended, and the memory of their states."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence

import numpy as np

from edge_models.sequences.step import SequenceId, SequenceKey
from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Array


class OpenSequence:
    """One sequence: its states, and the steps that stand in line for it.

    ``last_used``: when its last step came or ended. ``num_steps``: those that have come and not ended.
    ``has_begun``: its first step has been answered. ``is_over``: no further step finds it, and it ends with
    those that it has.
    """

    __slots__ = (
        "_line",
        "has_begun",
        "id",
        "is_candidate",
        "is_over",
        "last_used",
        "num_steps",
        "size",
        "states",
        "tenant",
    )

    def __init__(self, tenant: str, number: SequenceId, now: float) -> None:
        self.tenant, self.id = tenant, number
        self.states: tuple[Array, ...] | None = None
        self.size = 0
        self.last_used = now
        self.num_steps = 0
        self.has_begun = self.is_candidate = self.is_over = False
        self._line: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        over = ", over" if self.is_over else ""
        return f"<OpenSequence {self.id}, {self.size} bytes, {self.num_steps} steps{over}>"

    async def enter(self) -> None:
        """Wait until no step before this one is left; once it returns, ``leave`` must follow."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        if len(self._line) == 1:
            return
        try:
            await turn
        except BaseException:
            if self._line[0] is turn:
                # It was this step's turn when its caller left: that of the next, then.
                self._pass_on()
            else:
                self._line.remove(turn)
            raise

    def leave(self) -> None:
        """End the step whose turn it is."""
        self._pass_on()

    def _pass_on(self) -> None:
        del self._line[0]
        if self._line and not self._line[0].done():
            self._line[0].set_result(None)


class OpenSequences:
    """Finds sequences by key, ends those that are idle, and bounds how many there are and their states.

    No tenant has more than half of the sequences, nor of the bytes.

    Args:
        idle_s: a sequence without a step for so long ends.
        most, most_bytes: sequences, and bytes of their states.
        ended: called with each sequence that has ended and has no step left.
    """

    def __init__(
        self,
        model: str,
        *,
        idle_s: float,
        most: int,
        most_bytes: int,
        ended: Callable[[OpenSequence], None],
    ) -> None:
        self._model, self._idle_s = model, idle_s
        self._most, self._most_bytes = most, most_bytes
        self._ended = ended
        self._by_key: OrderedDict[SequenceKey, OpenSequence] = OrderedDict()
        # Also those that nobody finds any more and that have steps left.
        self._count: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<OpenSequences {self.count} of {self._model}, {self._bytes.total()} bytes>"

    @property
    def count(self) -> int:
        """How many there are."""
        return self._count.total()

    def find(self, key: SequenceKey, now: float) -> OpenSequence | None:
        """Return the sequence of ``key``, if it has not ended."""
        self.expire(now)
        found = self._by_key.get(key)
        if found is not None:
            self._use(key, found, now)
        return found

    def begin(self, key: SequenceKey, now: float) -> OpenSequence:
        """Begin a sequence; one of the same key that has not ended ends with the steps that it has.

        Raises:
            GatewayError: OVERLOADED when there are too many.
        """
        self.expire(now)
        tenant = key[0]
        before = self._by_key.get(key)
        frees_place = before is not None and not before.num_steps
        if not frees_place and (self.count >= self._most or self._count[tenant] >= max(1, self._most // 2)):
            raise GatewayError(
                Fault.OVERLOADED,
                f"model '{self._model}' has {self._count[tenant]} sequences of this tenant and {self.count} "
                f"in all, and may have {self._most}: end some, or try again later",
                retryable=True,
                retry_after_s=self._idle_s,
            )
        if before is not None:
            self.end(key)
        begun = self._by_key[key] = OpenSequence(tenant, key[2], now)
        self._count[tenant] += 1
        return begun

    def end(self, key: SequenceKey) -> None:
        """Let nobody find the sequence of ``key`` any more; it ends with the steps that it has."""
        found = self._by_key.pop(key, None)
        if found is not None:
            found.is_over = True
            self.review(found)

    def leave(self, key: SequenceKey, sequence: OpenSequence, now: float) -> None:
        """Note that a step of ``sequence`` has ended; where it was to begin it and has not, there is none."""
        sequence.num_steps -= 1
        if self._by_key.get(key) is not sequence:
            self.review(sequence)
        elif sequence.has_begun:
            self._use(key, sequence, now)
        else:
            self.end(key)

    def review(self, sequence: OpenSequence) -> None:
        """Let go of ``sequence`` if it is over and has no step left."""
        if not sequence.is_over or sequence.num_steps:
            return
        self._book(sequence, -sequence.size)
        sequence.states, sequence.size = None, 0
        self._count[sequence.tenant] -= 1
        if not self._count[sequence.tenant]:
            del self._count[sequence.tenant]
        self._ended(sequence)

    def hold(self, sequence: OpenSequence, states: Sequence[Array]) -> None:
        """Keep what a step has made of the states.

        Raises:
            GatewayError: OVERLOADED when they are too large; the states are those of before.
        """
        held = tuple([_owned(array) for array in states])
        size = sum(map(_size, held))
        more = size - sequence.size
        used, of_tenant = self._bytes.total(), self._bytes[sequence.tenant]
        if more > 0 and (used + more > self._most_bytes or of_tenant + more > self._most_bytes // 2):
            raise GatewayError(
                Fault.OVERLOADED,
                f"the states of the sequences of model '{self._model}' would have more memory than they may "
                f"({self._most_bytes >> 20} MiB, half of it for one tenant): end some, or try again later",
                retryable=True,
                retry_after_s=self._idle_s,
            )
        self._book(sequence, more)
        sequence.states, sequence.size = held, size

    def expire(self, now: float) -> float | None:
        """End what is idle; return when the next may be, None: there is none."""
        while self._by_key:
            key, oldest = next(iter(self._by_key.items()))
            if now - oldest.last_used < self._idle_s:
                return oldest.last_used + self._idle_s
            if oldest.num_steps:
                # Nothing that has a step is idle.
                self._use(key, oldest, now)
            else:
                self.end(key)
        return None

    def clear(self) -> None:
        """End all."""
        for key in list(self._by_key):
            self.end(key)

    def _use(self, key: SequenceKey, sequence: OpenSequence, now: float) -> None:
        sequence.last_used = now
        self._by_key.move_to_end(key)

    def _book(self, sequence: OpenSequence, more: int) -> None:
        self._bytes[sequence.tenant] += more
        if not self._bytes[sequence.tenant]:
            del self._bytes[sequence.tenant]


def _owned(array: Array) -> Array:
    """Return ``array`` with memory of its own (a view would keep that of a whole batch), texts as bytes."""
    if array.dtype.kind in "OSU":
        texts = np.empty(array.shape, object)
        texts.ravel()[:] = [item if isinstance(item, bytes) else str(item).encode() for item in array.ravel()]
        return texts
    return array.copy() if array.base is not None else array


def _size(array: Array) -> int:
    if array.dtype.kind == "O":
        return array.nbytes + sum(map(len, array.ravel()))
    return array.nbytes
