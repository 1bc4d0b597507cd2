"""Room for a newcomer when there are as many connections as there may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from gateway.http.server.registry import ConnectionRegistry

_AT_ONCE: Final = 8
"""An eighth of an address's connections end together: to look at all of them for each newcomer costs more."""


def make_room(registries: Iterable[ConnectionRegistry], address: str) -> bool:
    """End connections of the address that has most, those without a request under way, the oldest first.

    One that stands for many is left alone. Return whether any ends: not where the newcomer's ``address``
    would have more than that one is left with. So one who holds all connections idle cannot keep everybody
    else out.
    """
    registries = list(registries)
    shares = Counter(
        usage.address for registry in registries for _, usage in registry.usages() if not usage.is_many
    )
    if not shares:
        return False
    heaviest, most = shares.most_common(1)[0]
    if heaviest == address or most <= shares[address] + 1:
        return False
    wanted = max(1, min(most // _AT_ONCE, most - shares[address] - 1))
    ended = 0
    for registry in registries:
        for connection, usage in registry.usages():
            if usage.address == heaviest and connection.give_way():
                ended += 1
                if ended == wanted:
                    return True
    return ended > 0
