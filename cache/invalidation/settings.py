"""The settings of invalidation across regions."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

_URL = Annotated[str, Meta(pattern=r"^(redis|rediss|unix)://")]


class InvalidationSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where invalidations of kept answers are written, and read by the gateways of all regions."""

    redis: Annotated[dict[str, _URL], Meta(min_length=1, max_length=64)]
    """The URL of each region's log, as ``cache.redis.url`` has it; this region's must be among them. It may
    lead to the Redis of the region's cache, or to another one, and be that of a user of its own."""

    namespace: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "edgeway-invalidation"
    """The keys of a log are ``{NAMESPACE}:REGION:log``, ``state``, ``names`` and ``readers``, braces and all:
    one slot of a Redis Cluster, and one pattern for an ACL."""

    max_staleness_s: Annotated[float, Meta(ge=1, le=30 * 86400)] = 300.0
    """Seconds for which a log may be out of reach. After that, answers that were kept are no longer given,
    and those that are kept from then on for as long at most, until the log has been read again."""

    poll_ms: Annotated[int, Meta(ge=10, le=60_000)] = 250
    """Milliseconds between two looks into a log."""

    timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 2000
    """Milliseconds that a look, or writing an invalidation, may take; connecting takes so long as well."""

    max_entries: Annotated[int, Meta(ge=100, le=1_000_000)] = 10_000
    """Entries of the stream, about. What is trimmed is lost to people who read it, not to gateways."""

    def __post_init__(self) -> None:
        """Refuse times that contradict one another."""
        if self.max_staleness_s * 1000 < self.poll_ms + self.timeout_ms:
            look_s = (self.poll_ms + self.timeout_ms) / 1000
            raise ValueError(
                f"max_staleness_s is {self.max_staleness_s:g}, and one look into a log may take {look_s:g} s"
                " (poll_ms + timeout_ms): it would be taken for out of reach while it is read; raise"
                " max_staleness_s or lower the others"
            )

    def __repr__(self) -> str:
        # URLs may hold passwords.
        regions = ", ".join(sorted(self.redis))
        return f"<InvalidationSettings {regions}, {self.max_staleness_s:g} s at most>"
