"""The names of the cache levels, as headers, metrics and statistics show them."""

from __future__ import annotations

from typing import Final

L1: Final = "l1"
L2: Final = "l2"
LEVEL_NAMES: Final = (L1, L2)
"""All levels, fastest first. A name never changes: dashboards and other gateways know it."""
