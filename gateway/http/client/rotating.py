"""What is read from files, used for long, and read again when they change: the last that was good stays."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from gateway.http.client.small_file import OwnFileError

_log = logging.getLogger("edgeway.upstreams")

INTERVAL_S: Final = 1.0

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Rotating(Generic[T]):
    """``value`` is what the files held when they were last good; several may share it.

    Args:
        read: returns what is in the files; None where they hold what it is given. It blocks.
        what: what the files are, for the log.
        interval_s: seconds that pass at least between two readings, whoever asks for them.

    Raises:
        OwnFileError: they cannot be used now, and never could.
    """

    def __init__(
        self, read: Callable[[T | None], T | None], what: str, *, interval_s: float = INTERVAL_S
    ) -> None:
        value = read(None)
        assert value is not None
        self._read, self._what, self._interval_s = read, what, interval_s
        self.value = value
        self._reading: asyncio.Task[None] | None = None
        self._next = 0.0
        self.generation = 0
        """How often another value was taken."""
        self.problem = ""
        """Why the files, as they are now, are not in use; empty: they are."""

    def __repr__(self) -> str:
        problem = f", {self.problem}" if self.problem else ""
        return f"<{type(self).__name__} of {self._what}, generation {self.generation}{problem}>"

    async def refresh(self) -> None:
        """Read the files again, in a thread, and use what is new if it can be used."""
        if self._reading is None:
            now = asyncio.get_running_loop().time()
            if now < self._next:
                return
            self._next = now + self._interval_s
            self._reading = asyncio.create_task(self._read_again())
        # Whoever leaves leaves the others their reading.
        await asyncio.shield(self._reading)

    async def _read_again(self) -> None:
        try:
            found = await asyncio.to_thread(self._read, self.value)
        except OwnFileError as error:
            if str(error) != self.problem:
                _log.error("%s: what is new is not taken, what is in use stays: %s", self._what, error)
            self.problem = str(error)
            return
        finally:
            self._reading = None
        if found is not None:
            self.value = found
            self.generation += 1
        if found is not None or self.problem:
            _log.info("%s: the files are good, and in use as they are now", self._what)
        self.problem = ""


class SharedByName(Generic[K, V]):
    """One ``V`` for all who name the same ``K``; those that nobody wants any more are forgotten.

    ``make``: makes one. It may block and raise, so it is best called before the loop needs it, in a thread.
    """

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make
        self._known: dict[K, V] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<SharedByName, {len(self)} known>"

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._known)

    def get(self, name: K) -> V:
        """Return the one of ``name``, which is made if there is none."""
        with self._lock:
            if name not in self._known:
                self._known[name] = self._make(name)
            return self._known[name]

    def keep(self, wanted: frozenset[K]) -> None:
        """Forget all but ``wanted``; who holds one of the others goes on with it."""
        with self._lock:
            self._known = {each: made for each, made in self._known.items() if each in wanted}
