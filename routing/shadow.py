"""A route's shadow: where copies of its requests go, and when two answers are the same."""

from __future__ import annotations

from typing import Annotated

import msgspec

from routing.endpoint import DAY_MS
from routing.match import Version

_Tolerated = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Outputs = Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]


class ShadowComparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the shadow's answer is the same as the caller's.

    Both must have the same outputs, with the same datatypes and shapes. Whole numbers and texts are equal or
    not.
    ``rtol``, ``atol``: numbers with a fraction may differ by ``atol + rtol · |the caller's|``; 0.001 and
    0.0000001. ``top1``: outputs of which only the place of the highest element of each row is compared, as of
    probabilities. ``ignore``: outputs that are not compared.
    """

    rtol: _Tolerated = 1e-3
    atol: _Tolerated = 1e-7
    top1: _Outputs = ()
    ignore: _Outputs = ()


class Shadow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Copies of requests that have been answered, whose own answers are compared and thrown away.

    ``version``: of the model, that the copies ask for; absent, the one of the request. ``endpoints``: central
    ones to which they go, the first that is available, in the order of the route's; absent, the route's
    central ones. One of the two is given. ``percent``: of the answers that no cache had, by chance.
    ``timeout_ms``: for a copy, from the caller's answer on, its wait among others included.
    ``max_in_flight``: copies under way at once, of this route in each process. ``max_waiting``: copies that
    wait for one of these places; one more is dropped. ``compare``: when the answers are the same.
    """

    version: Version | None = None
    endpoints: tuple[str, ...] = ()
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100.0
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=DAY_MS)] = 5000
    max_in_flight: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    max_waiting: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 64
    compare: ShadowComparison = ShadowComparison()
