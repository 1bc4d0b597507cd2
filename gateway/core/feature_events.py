"""What looked-up features report: events of ``gateway.core.telemetry``."""

from __future__ import annotations

import msgspec


class FeaturesLookedUp(msgspec.Struct, frozen=True):
    """``count`` entities of one request were looked up.

    ``outcome``: hit, negative (known to be absent since it was asked for), bloom_skipped (known to be absent
    from the list of all), joined (another request is waiting for it) or miss (the store is asked).
    """

    store: str
    outcome: str
    count: int


class FeaturesFetched(msgspec.Struct, frozen=True):
    """One round trip to a store. ``outcome``: ok, or one word for why it failed; skipped: it was not sent.

    ``found``, ``absent``, ``failed``: entities with a vector, without one, and with what is none.
    """

    store: str
    outcome: str
    found: int = 0
    absent: int = 0
    failed: int = 0


class FeaturesFilled(msgspec.Struct, frozen=True):
    """An input of a request was not filled with fresh vectors alone.

    ``how``: default, stale, or refused: the request was.
    """

    store: str
    how: str


class KnownIdsListed(msgspec.Struct, frozen=True):
    """The ids of a store were listed anew; ``error``: one word for why they were not.

    ``fill``: the share of the filter's capacity that is taken. ``false_positives``: the share of absent ids
    that it lets pass, from its bits.
    """

    store: str
    ids: int
    fill: float = 0.0
    false_positives: float = 0.0
    error: str = ""


FeatureEvent = FeaturesLookedUp | FeaturesFetched | FeaturesFilled | KnownIdsListed
