"""Settings of routing: where clients are."""

from __future__ import annotations

from typing import Annotated

import msgspec


class GeoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where clients are.

    ``database``: path of a MaxMind DB file with countries (GeoLite2, GeoIP2, DB-IP, ip-location-db).
    It is mapped into memory: put a new one in its place by renaming, never by writing over it.
    ``max_age_days``: refuse to start with an older database; absent: any age will do.
    """

    database: str
    max_age_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
