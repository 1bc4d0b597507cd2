"""Which answers may be in a region: those whose class may be seen there, and none whose class is unknown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

RegionsOf = Callable[[], Mapping[str, Collection[str]]]
"""Returns the regions of each residency class by the policy in force."""


def may_be_in(region: str, residency: str, regions: Mapping[str, Collection[str]]) -> bool:
    """Whether answers of the class ``residency`` may be in ``region``.

    Where several classes met, it is their names joined by ``&``, and all of them have to allow it.
    """
    names = residency.split("&")
    return all(region in regions.get(name, ()) for name in names)
