"""Who may take how much of a level's bytes, and who gives some back first.

A holder with a quota has queues of its own, and a reserved share of the bytes; all others have one set of
queues together, and what is not reserved. What nobody takes anybody may use: nothing is evicted before the
whole level is full. Then the one who gives back is the one furthest above its share, to within a factor of
two: whoever is within its share is never chosen, for the shares are the whole level, and if it is more than
full somebody is above. So a quota that its holder does not need costs nobody anything, and is there at once
when it does.

Every step is O(1), whatever the number of holders: those above their share are kept by the number of bits of
their excess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Generic

from cache.eviction.s3fifo import Held, S3Fifo

COMMON: Final = ""
"""The holder of what belongs to no quota."""


class Share(Generic[Held]):
    """The queues of one holder, what they took when they were last weighed, and what they may take."""

    __slots__ = ("bits", "fifo", "holder", "reserved", "taken")

    def __init__(self, holder: str, reserved: int) -> None:
        self.holder = holder
        self.reserved = reserved
        self.fifo: S3Fifo[Held] = S3Fifo()
        self.taken = 0
        self.bits = 0

    def __repr__(self) -> str:
        return f"<Share of {self.holder or 'all others'}: {self.taken} of {self.reserved} bytes, {self.fifo}>"


class Shares(Generic[Held]):
    """All shares of a level of ``max_bytes``; ``taken`` is the sum of what they take."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._common: Share[Held] = Share(COMMON, max_bytes)
        self._by_holder: dict[str, Share[Held]] = {}
        self._by_fifo: dict[S3Fifo[Held], Share[Held]] = {self._common.fifo: self._common}
        self._above: tuple[dict[Share[Held], None], ...] = tuple(
            {} for _ in range(max_bytes.bit_length() + 2)
        )
        self._levels = 0
        self.taken = 0

    def __repr__(self) -> str:
        return f"<Shares of {len(self._by_holder)} holders and all others>"

    def __iter__(self) -> Iterator[Share[Held]]:
        return iter(tuple(self._by_fifo.values()))

    def reserve(self, percents: Mapping[str, float]) -> None:
        """Reserve for each holder its percent; together at most 100.

        Who has no quota any more keeps what is there until others need it.
        """
        common = self._max_bytes
        gone = set(self._by_holder) - set(percents)
        for holder, percent in percents.items():
            share = self._by_holder.get(holder)
            if share is None:
                share = self._by_holder[holder] = Share(holder, 0)
                self._by_fifo[share.fifo] = share
            # Never more than there is, whatever the sum of the percents comes to.
            share.reserved = min(int(self._max_bytes * percent / 100), common)
            common -= share.reserved
        for holder in gone:
            self._by_holder.pop(holder).reserved = 0
        self._common.reserved = common
        for share in self:
            self.weigh(share)
            self._drop_if_done(share)

    def of(self, holder: str) -> Share[Held]:
        """Return the share that ``holder`` puts into."""
        return self._by_holder.get(holder, self._common)

    def that_has(self, fifo: S3Fifo[Held]) -> Share[Held]:
        """Return the share whose queues these are."""
        return self._by_fifo[fifo]

    def weigh(self, share: Share[Held]) -> None:
        """Take note of what ``share`` takes now."""
        taken = share.fifo.bytes
        self.taken += taken - share.taken
        share.taken = taken
        bits = max(0, taken - share.reserved).bit_length()
        if bits != share.bits:
            self._move(share, bits)

    def furthest_above(self) -> Share[Held]:
        """Return who is furthest above its share; all others together, where nobody is."""
        if not self._levels:
            return self._common
        return next(iter(self._above[self._levels.bit_length() - 1]))

    def let_go(self, share: Share[Held]) -> None:
        """Take note that something has left ``share``."""
        self.weigh(share)
        if not share.taken:
            self._drop_if_done(share)

    def _move(self, share: Share[Held], bits: int) -> None:
        if share.bits:
            before = self._above[share.bits]
            del before[share]
            if not before:
                self._levels &= ~(1 << share.bits)
        share.bits = bits
        if bits:
            self._above[bits][share] = None
            self._levels |= 1 << bits

    def _drop_if_done(self, share: Share[Held]) -> None:
        """Forget a share without a quota once nothing of it is left."""
        is_gone = share is not self._common and self._by_holder.get(share.holder) is not share
        if is_gone and not share.taken:
            del self._by_fifo[share.fifo]
