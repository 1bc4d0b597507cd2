"""The last invalidation that names a request, by log; mixed into its key, it hides what was kept before.

Nothing is searched and nothing is deleted. A fill that began before an invalidation writes under the key of
before, which nobody looks up again. Each log (one per region, and one of this process alone) numbers its
invalidations; of a request it counts which is the highest number that names it.

What is held is bounded. Beyond ``max_names`` the scope that was named longest ago falls into one of 4096
buckets, and then whatever falls there shares its number: some answers more are forgotten, none is kept.
The log keeps its own table by the same rule, so whoever reads it later comes to the same keys.

A log that cannot be read has a ``window`` beside its numbers: keys of one window are not found in the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from cache.invalidation.scope import Scope, bucket_of

MAX_NAMES: Final = 4096
_MAX_REMEMBERED: Final = 4096
HERE: Final = ""
"""The name of the log of this process alone."""

Mark = tuple[str, str, int, int]
"""Of one log: its region, its identity, the number of the last invalidation that counts, and the window."""


class EpochRow(NamedTuple):
    """A scope, and the number of the last invalidation of it."""

    scope: Scope
    number: int


class _LogEpochs:
    """What one log has said. ``latest`` is the row with the highest number."""

    __slots__ = ("buckets", "identity", "latest", "names", "window")

    def __init__(self, identity: str = "", window: int = 0) -> None:
        self.identity, self.window = identity, window
        self.names: dict[Scope, int] = {}
        self.buckets: dict[int, int] = {}
        self.latest: EpochRow | None = None

    def take(self, scope: Scope, number: int, max_names: int) -> bool:
        """Take note of an invalidation; return whether it was not known."""
        if number <= self.names.get(scope, 0):
            return False
        self.names.pop(scope, None)
        self.names[scope] = number
        if self.latest is None or number > self.latest.number:
            self.latest = EpochRow(scope, number)
        if len(self.names) > max_names:
            # Rows of a log come in the order of their numbers, so the first is the oldest.
            oldest = next(iter(self.names))
            self.fold(bucket_of(oldest.name), self.names.pop(oldest))
        return True

    def fold(self, bucket: int, number: int) -> bool:
        """Let all that falls into ``bucket`` share ``number``; return whether that changes anything."""
        if number <= self.buckets.get(bucket, 0):
            return False
        self.buckets[bucket] = number
        return True

    def number(self, model: str, tenant: str, tags: tuple[str, ...], region: str) -> int:
        """Return the number of the last invalidation that names all of them."""
        names, buckets, highest = self.names, self.buckets, 0
        for where in ("", region):
            for tag in ("", *tags):
                for who in ("", tenant) if tenant else ("",):
                    for what in ("", model):
                        scope = Scope(model=what, tenant=who, tag=tag, region=where)
                        highest = max(highest, names.get(scope, 0))
                        if buckets:
                            highest = max(highest, buckets.get(bucket_of(scope.name), 0))
        return highest

    def number_of_anybody(self, model: str, tags: tuple[str, ...]) -> int:
        """Return the same where tenants share answers: an invalidation of one concerns them all."""
        its = (
            number
            for scope, number in self.names.items()
            if scope.model in ("", model) and (not scope.tag or scope.tag in tags)
        )
        return max(max(its, default=0), max(self.buckets.values(), default=0))


class Epochs:
    """The invalidations that this process knows of; ``region``: where it is.

    ``version`` is another number whenever any key may be another: whoever has made keys compares it. 0: there
    is nothing to mix into keys.
    """

    def __init__(self, region: str, *, max_names: int = MAX_NAMES) -> None:
        self._region, self._max_names = region, max_names
        self._logs: dict[str, _LogEpochs] = {}
        self._remembered: dict[tuple[str, str | None, tuple[str, ...]], tuple[Mark, ...]] = {}
        self.version = 0

    def __repr__(self) -> str:
        logs = ", ".join(
            f"{region or 'here'} {len(log.names)}+{len(log.buckets)}{' cut' if log.window else ''}"
            for region, log in sorted(self._logs.items())
        )
        return f"<Epochs {self.version}: {logs or 'none'}>"

    def marks(self, model: str, tenant: str | None, tags: tuple[str, ...]) -> tuple[Mark, ...]:
        """Return what belongs into the key of a request; empty: nothing was ever invalidated.

        ``tenant``: None: whoever it is, as where tenants share their answers.
        """
        if not self._logs:
            return ()
        asked = (model, tenant, tags)
        found = self._remembered.get(asked)
        if found is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[asked] = tuple(self._marks(*asked))
        return found

    def _marks(self, model: str, tenant: str | None, tags: tuple[str, ...]) -> Iterable[Mark]:
        for region, log in sorted(self._logs.items()):
            if tenant is None:
                number = log.number_of_anybody(model, tags)
            else:
                number = log.number(model, tenant, tags, self._region)
            if number or region != HERE:
                yield region, log.identity, number, log.window

    def latest(self, region: str) -> EpochRow | None:
        """Return the last invalidation that is known of the log of ``region``."""
        log = self._logs.get(region)
        return None if log is None else log.latest

    def identity(self, region: str) -> str:
        """Return the identity of the log of ``region``; empty: it was never read."""
        log = self._logs.get(region)
        return "" if log is None else log.identity

    def read(
        self, region: str, identity: str, rows: Iterable[EpochRow], buckets: Mapping[int, int] | None = None
    ) -> bool:
        """Take what was read of a log, in the order of its numbers; return whether any key may be another.

        A log of another identity is another log: what the one before had said is lost, so all keys change.
        """
        log, changed = self._logs.get(region), False
        if log is None or log.identity != identity:
            log = self._logs[region] = _LogEpochs(identity, log.window if log else 0)
            changed = True
        for row in rows:
            if row.scope.region in ("", self._region):
                changed |= log.take(row.scope, row.number, self._max_names)
            elif log.latest is None or row.number > log.latest.number:
                log.latest = row
        for bucket, number in (buckets or {}).items():
            changed |= log.fold(bucket, number)
        return self._when(changed=changed)

    def note(self, region: str, identity: str, row: EpochRow) -> bool:
        """Take one invalidation that did not come by reading its log, at once.

        Where its log is not the one that was read, nobody knows which of the two is the later one: then it
        holds for this process.
        """
        log = self._logs.get(region)
        if log is not None and log.identity == identity:
            return self.read(region, identity, (row,))
        return self.here(row.scope, self.next_here())

    def here(self, scope: Scope, number: int) -> bool:
        """Take an invalidation of this process alone.

        ``number``: of whoever has made it, by which it is known when it comes twice. One that is not above
        those before would hide nothing: it gets another.
        """
        if scope.region not in ("", self._region):
            return False
        log = self._logs.setdefault(HERE, _LogEpochs())
        if log.names.get(scope) == number:
            return False
        return self._when(changed=log.take(scope, self.next_here(number), self._max_names))

    def next_here(self, at_least: int = 1) -> int:
        """Return a number above those of all invalidations of this process alone."""
        last = self.latest(HERE)
        return at_least if last is None else max(at_least, last.number + 1)

    def cut(self, region: str, window: int) -> bool:
        """The log of ``region`` may have said what is not known: keep apart what is kept in each window.

        0: all that it has said is known. Return whether any key may be another.
        """
        log = self._logs.get(region)
        if log is None:
            log = self._logs[region] = _LogEpochs(window=window)
            return self._when(changed=True)
        before, log.window = log.window, window
        return self._when(changed=before != window)

    def is_cut(self, region: str) -> bool:
        """Whether the log of ``region`` may have said what is not known."""
        log = self._logs.get(region)
        return log is not None and log.window > 0

    def _when(self, *, changed: bool) -> bool:
        if changed:
            self.version += 1
            self._remembered.clear()
        return changed
