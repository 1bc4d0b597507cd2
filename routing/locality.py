"""What a policy says of the regions that a gateway prefers: with Istio's words and their meaning."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec

Mode = Literal["failover", "nearest", "distribute", "failover_priority"]
_Weight = Annotated[int, msgspec.Meta(ge=1, le=100)]


class Location(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a region is: it says how far others are, until that is measured."""

    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    """Degrees, north of the equator above 0."""

    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    """Degrees, east of Greenwich above 0."""


class Distribution(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"source": "from"}
):
    """Where the requests of one region's gateway go.

    Regions that are not among those named get nothing, whatever happens to those that are.
    """

    source: str
    """The region of the gateway; ``from`` in the file."""

    to: Annotated[dict[str, _Weight], msgspec.Meta(min_length=1)]
    """Region → percent, 1 to 100, together 100."""


class Locality(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which of the endpoints inside a request's residency are preferred, with Istio's words."""

    mode: Mode = "failover"
    """``failover``, the default: the own region, then those of the policy's ``failover`` in order, then the
    rest. ``nearest``: those with the lowest measured round trip, and the great-circle distance until there is
    one. ``distribute``: by the weights of ``distribute``. ``failover_priority``: those that have most of its
    labels in common with this gateway's region."""

    distribute: tuple[Distribution, ...] = ()
    """For each region that has one; the gateways of others fail over."""

    failover_priority: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=256)], ...] = ()
    """Labels in order: names, or NAME=VALUE for another value than the own region's; ``region`` is one."""

    hysteresis_percent: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 20.0
    """Another endpoint becomes the nearest once it is by so much nearer. 20."""

    hysteresis_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0
    """And not within so many seconds of the last change, unless the nearest is out. 10."""

    overprovisioning_factor: Annotated[int, msgspec.Meta(ge=100, le=1000)] = 140
    """Percent of its part that a member can carry: a level of endpoints overflows into the next once that is
    not enough for what is out. 140 (Envoy)."""

    healthy_panic_threshold: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    """Percent of an endpoint's members: while fewer are well, and all endpoints that a request may reach
    cannot carry the load together, requests go to all members that are not drained, those that are out too
    (Envoy, whose default is 50). Residency stays. Absent, and 0: requests never go to who is out."""


SHORT: Final[dict[str, Locality]] = {mode: Locality(mode=mode) for mode in get_args(Mode)}
"""What a mode alone stands for."""
