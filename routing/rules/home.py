"""Which region a client is at home in: for clients and tools that choose a gateway to call."""

from __future__ import annotations

from routing.place import Place, precision
from routing.policy import Policy


def home(policy: Policy, place: Place) -> str | None:
    """Return the region that serves ``place``: by its country before its continent, else None."""
    best, chosen = 0, None
    for name, region in policy.regions.items():
        fit = max((precision(place, code) for code in region.serves), default=0)
        if fit > best:
            best, chosen = fit, name
    return chosen
