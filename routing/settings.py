"""Settings of routing: where clients are."""

from __future__ import annotations

from typing import Annotated

import msgspec


class GeoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where clients are.

    ``database``: path of a MaxMind DB file with countries (GeoLite2, GeoIP2, DB-IP, ip-location-db).
    It is read into memory, in each worker, and watched: a new one is taken when it is whole, sound and not
    older than the one in use, which else stays. ``max_age_days``: refuse to start with an older database,
    and warn when it becomes older; absent: any age will do, and a warning comes at 30 days.
    """

    database: str
    max_age_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
