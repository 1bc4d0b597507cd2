"""All checks, area by area, in the order in which they run."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from gateway.conformance import areas
from gateway.conformance.check import Area, Check


def area_called(name: str) -> Area:
    """Return an area with its checks; its module has the name of the area, ``_`` for ``-``."""
    area: Area = import_module(f"{areas.__name__}.{name.replace('-', '_')}").AREA
    return area


CHECKS: Final[tuple[Check, ...]] = tuple(check for name in areas.AREAS for check in area_called(name).checks)


def chosen(only: tuple[str, ...]) -> tuple[Check, ...]:
    """Return the checks of some areas, or all when none is named."""
    return tuple(check for check in CHECKS if not only or check.area in only)
