"""Where an address is: a MaxMind DB file, of whichever shape (``routing.geo_records``).

A file that is corrupt may answer anything, so the file is tried out before it is used and a look-up
that fails at run time means "not known", which the rules treat as the strictest case. Every step here
is one look-up of one address, which visits at most 128 nodes; walking the tree of a corrupt file
could take for ever. What is read is a copy in memory (``routing.geo_file``): the file may be written over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

import maxminddb

from routing.geo_file import GeoFileError, MemoryFile, in_memory
from routing.geo_records import ACCEPTED, Reading, reading_of
from routing.place import Place

_REMEMBERED: Final = 16_384
_DAY_S: Final = 86_400
_LONGEST_KIND: Final = 64
_PARTS: Final = 64
"""A trial looks at 64 evenly spaced parts of the address space, up to 64 networks in each."""

Address = IPv4Address | IPv6Address
Lookup = Callable[[str], Place | None]


class GeoError(Exception):
    """A geo database that cannot be used; the message names the file, ``reason`` does not."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class Places:
    """An open geo database. It remembers the answers for the addresses looked up last.

    ``kind``: what it calls itself. ``knows``: what it holds (``routing.geo_records``).
    """

    def __init__(
        self,
        path: Path,
        lookup: Lookup,
        build_epoch: int,
        kind: str = "",
        knows: frozenset[str] = frozenset(),
    ) -> None:
        self.path, self.kind, self.knows = path, kind, knows
        self._lookup = lookup
        self._build_epoch = build_epoch
        self._remembered = lru_cache(_REMEMBERED)(self._find)

    def __repr__(self) -> str:
        return f"<Places {self.path.name}, {self._remembered.cache_info().currsize} addresses remembered>"

    @classmethod
    def open(cls, path: Path | str) -> Places:
        """Open a database and try it out.

        Raises:
            GeoError: when it is missing, corrupt, or holds neither countries nor ASNs.
        """
        path = Path(path)
        try:
            with in_memory(path) as copy:
                return cls._open(path, copy)
        except GeoFileError as error:
            raise GeoError(path, str(error)) from None
        except OSError as error:
            raise GeoError(path, f"cannot be read: {error.strerror}") from None

    @classmethod
    def _open(cls, path: Path, copy: MemoryFile) -> Places:
        try:
            database = maxminddb.open_database(copy.source, copy.mode)
            metadata = database.metadata()
            kind = str(metadata.database_type)[:_LONGEST_KIND]
            found = reading_of(kind, _sample(database))
        except Exception as error:  # a corrupt file makes the reader raise nearly anything
            raise GeoError(path, f"is not a sound MaxMind DB file ({type(error).__name__})") from error
        if found is None:
            raise GeoError(path, f"is a database of {kind!r}, with neither countries nor ASNs: {ACCEPTED}")
        reading, knows = found
        return cls(path, _lookup(database, reading), metadata.build_epoch, kind, knows)

    @property
    def build_epoch(self) -> int:
        """When the database was built, in seconds since the Unix epoch, as it states."""
        return self._build_epoch

    def take(self, other: Places) -> None:
        """Answer from what ``other`` has opened, from the next look-up on."""
        self._lookup, self._build_epoch = other._lookup, other._build_epoch
        self.kind, self.knows = other.kind, other.knows
        self._remembered.cache_clear()

    def age_days(self, wall_s: float) -> float:
        """Return the age of the database at ``wall_s``, in seconds since the Unix epoch."""
        return (wall_s - self._build_epoch) / _DAY_S

    def locate(self, address: str) -> Place | None:
        """Return the place of an address in canonical form; None when it is not known."""
        return self._remembered(address) if address else None

    def find(self, address: str) -> Place | None:
        """Return what ``locate`` does; nothing is remembered."""
        return self._find(address) if address else None

    def refuse_older_than(self, days: int, wall_s: float) -> None:
        """Check the age of the database at ``wall_s``, in seconds since the Unix epoch.

        Raises:
            GeoError: when it was built more than ``days`` before.
        """
        age_days = self.age_days(wall_s)
        if age_days > days:
            raise GeoError(self.path, f"is {age_days:.0f} days old, and {days} are allowed; get a new one")

    def _find(self, address: str) -> Place | None:
        try:
            return self._lookup(address)
        except Exception:  # noqa: BLE001 - a corrupt file makes the reader raise nearly anything
            return None


def _lookup(database: maxminddb.Reader, reading: Reading) -> Lookup:
    get = database.get

    def lookup(address: str) -> Place | None:
        record = get(address)
        return reading(record) if isinstance(record, dict) else None

    return lookup


def _sample(database: maxminddb.Reader) -> Iterator[object]:
    """Yield the records of networks from all over the address space, a bounded number of them."""
    yield from _walk(database, IPv4Address, 0, 32)
    if database.metadata().ip_version == 6:
        # All unicast addresses in use lie in 2000::/3.
        yield from _walk(database, IPv6Address, 0x2000 << 112, 125)


def _walk(database: maxminddb.Reader, address: type[Address], first: int, size_bits: int) -> Iterator[object]:
    part_size = (1 << size_bits) // _PARTS
    bits = address(0).max_prefixlen
    for part in range(_PARTS):
        position = first + part * part_size
        end = position + part_size
        for _ in range(_PARTS):
            if position >= end:
                break
            record, prefix = database.get_with_prefix_len(address(position))
            if record is not None:
                yield record
            host_bits = bits - prefix
            position = ((position >> host_bits) + 1) << host_bits
