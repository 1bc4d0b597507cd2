"""Settings of routing: where clients are."""

from __future__ import annotations

from typing import Annotated

import msgspec


class GeoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where clients are.

    ``database``: path of a MaxMind DB file with countries or ASNs (Country, City, Enterprise, ASN and ISP
    of GeoLite2, GeoIP2 and DB-IP; the flat ones of IPinfo and ip-location-db), or a list of them: what the
    first does not know, the next may. Each is read into memory,
    in each worker, and watched: a new one is taken when it is whole, sound and not older than the one in use,
    which else stays. ``max_age_days``: refuse to start with an older database,
    and warn when it becomes older; absent: any age will do, and a warning comes at 30 days.
    """

    database: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    max_age_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None

    @property
    def databases(self) -> tuple[str, ...]:
        """The paths, in order."""
        return (self.database,) if isinstance(self.database, str) else self.database
