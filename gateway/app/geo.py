"""One geo database of an edge gateway: opened at start, watched, and replaced while requests go on.

A new file is taken when it has stood still for as long as the watch waits, can be opened and answers for a
sample of all addresses, knows what the one in use knows, and is not older. Whatever is wrong with it,
the old one stays, which is in memory and needs no file; the error is in the health report, in the metrics,
and once in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.core.clock import Clock
from gateway.core.telemetry import GeoLoaded, Telemetry
from routing.geo import GeoError, Places
from routing.geo_file import FileSignature, file_signature
from routing.geo_records import ASN, COUNTRY

WATCH_S: Final = 1.0
OLD_DAYS: Final = 30
"""MaxMind and others publish weekly to monthly."""

_DAY_S: Final = 86_400
_LOG: Final = logging.getLogger("edgeway.geo")


class GeoDatabase:
    """The places in use. ``places`` stays the same object through all replacements.

    ``name``: what metrics and reports call it. ``max_age_days``: as the settings have it.
    """

    def __init__(
        self, path: Path, name: str, max_age_days: int | None, *, clock: Clock, telemetry: Telemetry
    ) -> None:
        """Open the first database.

        Raises:
            GeoError: it cannot be used, or is older than allowed.
        """
        self._path, self.name = path, name
        self._clock, self._telemetry = clock, telemetry
        self._old_days = max_age_days or OLD_DAYS
        self._tried = file_signature(self._path)
        self._seen = self._tried
        self.places = Places.open(self._path)
        if max_age_days is not None:
            self.places.refuse_older_than(max_age_days, clock.wall())
        self._error = ""
        self._warned_s = float("-inf")
        self._emit()
        self._check_age()

    def __repr__(self) -> str:
        return (
            f"<GeoDatabase {self.places}, built {self._built}{', last load failed' if self._error else ''}>"
        )

    def report(self) -> Mapping[str, Any]:
        """Return what the database in use is, when it was built, and why another was not taken."""
        age_days = int(self.places.age_days(self._clock.wall()))
        return {
            "kind": self.places.kind,
            "knows": sorted(self.places.knows),
            "built": self._built,
            "age_days": age_days,
            "is_old": age_days > self._old_days,
            "error": self._error,
        }

    async def watch(self, taken: Callable[[], None]) -> None:
        """Take the file when it changes and then stands still, and call ``taken``; runs until cancelled."""
        while True:
            await self._clock.sleep(WATCH_S)
            self._check_age()
            found = await asyncio.to_thread(file_signature, self._path)
            stands_still, self._seen = found == self._seen, found
            if stands_still and found != self._tried:
                await self._load(found, older=False, taken=taken)

    async def reload(self, taken: Callable[[], None]) -> None:
        """Take the file that is there now, an older one as well: the operator has said so (SIGHUP)."""
        await self._load(await asyncio.to_thread(file_signature, self._path), older=True, taken=taken)

    @property
    def _built(self) -> str:
        try:
            return datetime.fromtimestamp(self.places.build_epoch, UTC).date().isoformat()
        except (ValueError, OverflowError, OSError):
            return f"{self.places.build_epoch} s after 1970"

    async def _load(self, found: FileSignature | None, *, older: bool, taken: Callable[[], None]) -> None:
        self._tried = found
        try:
            places = await asyncio.to_thread(Places.open, self._path)
            self._refuse(places, older=older)
        except GeoError as error:
            self._report_failure(error.reason)
            return
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the old one stays
            self._report_failure(f"cannot be used ({type(error).__name__})")
            return
        self.places.take(places)
        self._error, self._warned_s = "", float("-inf")
        self._emit()
        _LOG.info("the geo database built %s is in use", self._built)
        self._check_age()
        try:
            taken()
        except Exception:  # noqa: BLE001 - the file is taken all the same
            _LOG.exception("the new places are used for addresses that have not been seen yet, and no others")

    def _refuse(self, places: Places, *, older: bool) -> None:
        # One from the future would keep out all that come after it.
        if _is_of_the_future(places, now := self._clock.wall()):
            raise GeoError(self._path, "says that it was built in the future")
        if older:
            return
        if lost := (self.places.knows & {COUNTRY, ASN}) - places.knows:
            raise GeoError(
                self._path,
                f"is a database of {places.kind!r}, without the {' and '.join(sorted(lost))} of "
                f"{self.places.kind!r}, which is in use; SIGHUP takes it all the same",
            )
        if places.build_epoch < self.places.build_epoch and not _is_of_the_future(self.places, now):
            raise GeoError(
                self._path, f"was built before the one in use ({self._built}); SIGHUP takes it all the same"
            )

    def _emit(self, error: str = "") -> None:
        self._telemetry.emit(GeoLoaded(self.places.build_epoch, error, self.name))

    def _report_failure(self, why: str) -> None:
        self._emit(why)
        if why != self._error:
            _LOG.error("%s: %s; the geo database built %s stays in use", self._path, why, self._built)
        self._error = why

    def _check_age(self) -> None:
        """Warn of an old database, once a day."""
        now = self._clock.wall()
        age_days = self.places.age_days(now)
        if age_days > self._old_days and abs(now - self._warned_s) >= _DAY_S:
            self._warned_s = now
            _LOG.warning("%s: is %.0f days old; clients may be elsewhere by now", self._path, age_days)


def _is_of_the_future(places: Places, wall_s: float) -> bool:
    return places.age_days(wall_s) < -1
