"""The names of the cache levels, as headers, metrics and statistics show them."""

from __future__ import annotations

from typing import Final

L1: Final = "l1"
WARM: Final = "warm"
L2: Final = "l2"
LEVEL_NAMES: Final = (L1, WARM, L2)
"""All levels that hold answers, fastest first; ``warm``: what neighbouring regions sent ahead.

A name never changes: dashboards and others know it."""

L3: Final = "l3"
L3_REDIS: Final = "l3_redis"
FEATURE_LEVELS: Final = (L3, L3_REDIS)
"""The levels that hold features, of which a model makes its answer: that is no answer of a cache."""
