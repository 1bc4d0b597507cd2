"""What an answer and its lease are called in Redis: the one place that knows.

Both lie in one slot of a Redis Cluster, because a script works on both: what stands between the braces of the
lease's name is the whole name of the answer, which has none. Neither model nor tenant is in them, so that no
slot is hotter than others.
"""

from __future__ import annotations


def value_name(prefix: str, key: bytes) -> str:
    """Return the name of the answer under ``key``; ``prefix`` has no braces."""
    return prefix + key.hex()


def lease_name(prefix: str, key: bytes) -> str:
    """Return the name of the lease of ``key``."""
    return f"{prefix}lease:{{{value_name(prefix, key)}}}"
