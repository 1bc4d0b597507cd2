"""What the policy says of networks itself, before any geo database: as its file has it."""

from __future__ import annotations

from typing import Annotated

import msgspec

Asn = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who has the addresses of a network.

    ``place``: the code of a country, of a part of it, or of a continent. ``asn``: the number of the
    autonomous system, such as one of your own. What is absent is as the geo database has it.
    """

    place: str | None = None
    asn: Asn | None = None


Networks = Annotated[dict[str, str | Network], msgspec.Meta(max_length=4096)]
