"""When so few members are well that all of them are used: Envoy's panic, inside the residency. Pure.

What is out may be out wrongly, and what is left would not bear the load of all. So requests are spread over
all members of an endpoint, those included that failures or health checks have put out; what is drained stays
out.
"""

from __future__ import annotations

from typing import Protocol

from routing.policy import Policy
from routing.rules.priority import WHOLE, is_panic, level_health


class KnownMembers(Protocol):
    """What is known of the members of endpoints."""

    def strength(self, endpoint: str) -> tuple[int, int]:
        """Return how many of its members are well, and how many there are."""
        ...

    def has_undrained(self, endpoint: str) -> bool:
        """Whether one of its members, well or not, may get new work as far as operators are concerned."""
        ...


class Panic:
    """Finds the endpoints in panic; without a threshold in the policy, or with 0, there are none."""

    def __init__(self, policy: Policy) -> None:
        self.threshold_percent = policy.preference.healthy_panic_threshold or 0.0
        self._factor = policy.preference.overprovisioning_factor

    def __repr__(self) -> str:
        return f"<Panic below {self.threshold_percent:g} %>"

    def among(self, names: tuple[str, ...], members: KnownMembers) -> tuple[str, ...]:
        """Return those of ``names``, all that a request may reach, that are in panic.

        None is while all of them together can carry the load (Envoy: the health of all levels is 100 %).
        """
        if not self.threshold_percent:
            return ()
        health, found = 0, []
        for name in names:
            well, total = members.strength(name)
            health += level_health(well, total, self._factor)
            if health >= WHOLE:
                return ()
            if is_panic(well, total, self.threshold_percent) and members.has_undrained(name):
                found.append(name)
        return tuple(found)
