"""Which regions may see a request: the one rule that no other may widen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from routing.place import Place, may_be_in
from routing.policy import ANY, Policy


@dataclass(frozen=True, slots=True)
class Allowed:
    """``residency`` names the class in force: answers may be shared within it and never across two.

    Where several classes meet, it is the names of the narrowest ones, joined by ``&``.
    """

    residency: str
    regions: frozenset[str]


NOWHERE: Final = Allowed("", frozenset())


def allowed(policy: Policy, tenant: str, place: Place | None) -> Allowed:
    """Return the regions that the tenant's class and every rule for the client's place allow.

    A place can only narrow: its rules are intersected with the tenant's class. A client whose place
    is not known may be in any of them, so it gets the regions that all of them allow. An unknown
    tenant, class or region allows nothing.
    """
    entry = policy.tenants.get(tenant)
    if entry is None:
        return NOWHERE
    names = {entry.residency}
    names.update(name for code, name in policy.places.items() if may_be_in(place, code))
    regions = {name: regions_of(policy, name) for name in names}
    narrowest = [name for name in names if not any(other < regions[name] for other in regions.values())]
    return Allowed("&".join(sorted(narrowest)), frozenset.intersection(*regions.values()))


def regions_of(policy: Policy, residency: str) -> frozenset[str]:
    """Return the regions of one class, empty when there is no such class."""
    entry = policy.residency.get(residency)
    if entry is None:
        return frozenset()
    every = frozenset(policy.regions)
    return every if ANY in entry.regions else every.intersection(entry.regions)


def regions_by_class(policy: Policy) -> dict[str, frozenset[str]]:
    """Return what ``regions_of`` returns for each class; the regions of the policy are looked at once."""
    every = frozenset(policy.regions)
    return {
        name: every if ANY in entry.regions else every.intersection(entry.regions)
        for name, entry in policy.residency.items()
    }
