"""`edgeway cache`: what operators do with the caches of running gateways, and to size them before.

A command is a file of its own, ``cache_NAME.py``, with ``add_to(group)``.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from gateway.commands import cache_inspect, cache_purge, cache_simulate, cache_stats, cache_warm
from gateway.commands.arguments import add_group

COMMANDS: Final[tuple[ModuleType, ...]] = (
    cache_stats,
    cache_inspect,
    cache_warm,
    cache_purge,
    cache_simulate,
)


def add_to(commands: Any) -> None:
    """Add `edgeway cache`."""
    group = add_group(commands, "cache", about="look into the caches of a running gateway, and size them")
    for command in COMMANDS:
        command.add_to(group)
