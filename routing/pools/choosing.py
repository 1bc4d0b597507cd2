"""From what a policy says of an endpoint's load balancing to what chooses its members."""

from __future__ import annotations

from gateway.core.clock import Chance
from routing.endpoint import LoadBalancing
from routing.pools.ewma import LoadSettings
from routing.pools.least_request import LeastRequest
from routing.pools.maglev import Maglev
from routing.pools.picking import Picker
from routing.pools.ring_hash import RingHash
from routing.pools.spread import RandomMember, RoundRobin
from routing.pools.zones import OwnZoneFirst


def chooser(balancing: LoadBalancing, chance: Chance, own_zone: str = "") -> Picker:
    """Return what chooses the members of one pool; each pool has one of its own.

    ``own_zone``: the gateway's; empty: it knows none, and zones do not matter. They do not matter for hashes
    either: a key has one member wherever its requests come in.
    """
    if balancing.policy == "ring_hash":
        return RingHash(RandomMember(chance), balancing.hash_balance_factor)
    if balancing.policy == "maglev":
        return Maglev(RandomMember(chance), balancing.hash_balance_factor)
    if own_zone and balancing.zone_aware:
        near, far = _unhashed(balancing, chance), _unhashed(balancing, chance)
        return OwnZoneFirst(own_zone, near, far, chance)
    return _unhashed(balancing, chance)


def load_settings(balancing: LoadBalancing) -> LoadSettings:
    """Return how the loads of an endpoint's members are remembered."""
    return LoadSettings(
        slow_start_window_s=balancing.slow_start_window_s, min_warmth=balancing.min_weight_percent / 100
    )


def _unhashed(balancing: LoadBalancing, chance: Chance) -> Picker:
    if balancing.policy == "round_robin":
        return RoundRobin(chance)
    if balancing.policy == "random":
        return RandomMember(chance)
    return LeastRequest(chance, balancing.choice_count)
