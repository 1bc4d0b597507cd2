"""The geo databases of an edge gateway, in the order of its settings: for places, perhaps one for ASNs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.app.geo import GeoDatabase
from gateway.core.clock import Clock
from gateway.core.telemetry import Telemetry
from routing.geo_order import PlacesInOrder
from routing.place import Place
from routing.settings import GeoSettings


class GeoDatabases:
    """All of them, each watched and replaced by itself. ``locate`` stays the same function throughout."""

    def __init__(self, settings: GeoSettings, *, clock: Clock, telemetry: Telemetry) -> None:
        """Open them.

        Raises:
            GeoError: one cannot be used, or is older than allowed.
        """
        paths = tuple(map(Path, settings.databases))
        self._databases = tuple(
            GeoDatabase(path, name, settings.max_age_days, clock=clock, telemetry=telemetry)
            for path, name in zip(paths, _names(paths), strict=True)
        )
        alone = self._databases[0].places if len(paths) == 1 else None
        self._order = PlacesInOrder([each.places for each in self._databases])
        self.locate: Callable[[str], Place | None] = alone.locate if alone else self._order.locate

    def __repr__(self) -> str:
        return f"<GeoDatabases {', '.join(map(repr, self._databases))}>"

    def knows(self) -> frozenset[str]:
        """What at least one of them holds (``routing.geo_records``)."""
        return frozenset().union(*(each.places.knows for each in self._databases))

    def report(self) -> Mapping[str, Any]:
        """Return the state of the oldest, whether any is old, what is wrong, and the state of each."""
        reports = {each.name: each.report() for each in self._databases}
        oldest = max(reports.values(), key=lambda report: report["age_days"])
        errors = {name: report["error"] for name, report in reports.items() if report["error"]}
        alone = len(reports) == 1
        return {
            "built": oldest["built"],
            "age_days": oldest["age_days"],
            "is_old": any(report["is_old"] for report in reports.values()),
            "error": "; ".join(why if alone else f"{name}: {why}" for name, why in errors.items()),
            "databases": reports,
        }

    async def watch(self, taken: Callable[[], None]) -> None:
        """Take each file when it changes and then stands still, and call ``taken``; until cancelled."""
        look_anew = self._looking_anew(taken)
        async with asyncio.TaskGroup() as watches:
            for each in self._databases:
                watches.create_task(each.watch(look_anew))

    async def reload(self, taken: Callable[[], None]) -> None:
        """Take the files that are there now, older ones as well: the operator has said so (SIGHUP)."""
        look_anew = self._looking_anew(taken)
        for each in self._databases:
            await each.reload(look_anew)

    def _looking_anew(self, taken: Callable[[], None]) -> Callable[[], None]:
        def look_anew() -> None:
            self._order.forget()
            taken()

        return look_anew


def _names(paths: tuple[Path, ...]) -> tuple[str, ...]:
    """Return what each is called: its file's name, or all of its path where two have one name."""
    counts = Counter(path.name for path in paths)
    return tuple(path.name if counts[path.name] == 1 else str(path) for path in paths)
