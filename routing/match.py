"""What a route is for: the conditions of the policy, as its file has them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from routing.networks import Asn

ANY: Final = "*"
INPUT: Final = "input"

Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
Version = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
StickyBy = Annotated[str, msgspec.Meta(pattern=r"^(input|tenant|header:[A-Za-z0-9-]{1,64})\Z")]

_Value = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class HeaderMatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a header is compared; one of the three is given.

    ``exact``: with the whole value. ``prefix``: with its beginning. ``regex``: a pattern of RE2's
    that matches the whole value.
    """

    exact: _Value | None = None
    prefix: _Value | None = None
    regex: _Value | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The fields that are given."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) is not None)


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What a route is for: all that is given must hold.

    ``model``: a name, or a pattern with ``*`` for any characters and ``?`` for one; ``*`` is the default.
    ``tenants``: names, or ``*``. ``version``: the one that the request names. ``headers``: name → its value,
    or how it is compared. ``places``: codes of continents, countries and their parts, as EU, DE, US-CA (see
    ``routing.place``), one of which the client is known to be in. ``asns``: numbers of autonomous systems,
    one of which is known to have the client's address; a geo database or the policy's ``networks`` know
    them. ``networks``: one of which has the client's address, as 10.0.0.0/8.
    ``percent``: of these requests; whose, is as the route's ``sticky_by`` has it.
    """

    model: str = ANY
    tenants: Names = (ANY,)
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    headers: Annotated[dict[str, _Value | HeaderMatch], msgspec.Meta(max_length=4)] = {}
    places: Annotated[tuple[str, ...], msgspec.Meta(max_length=256)] = ()
    asns: Annotated[tuple[Asn, ...], msgspec.Meta(max_length=256)] = ()
    networks: Annotated[tuple[str, ...], msgspec.Meta(max_length=256)] = ()
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100.0

    @property
    def compared(self) -> list[tuple[str, HeaderMatch]]:
        """Each header, as the file spells it, with how it is compared."""
        return [
            (name, HeaderMatch(exact=match) if isinstance(match, str) else match)
            for name, match in self.headers.items()
        ]

    @property
    def header_matches(self) -> dict[str, HeaderMatch]:
        """How each header is compared, by its name in small letters."""
        return {name.lower(): match for name, match in self.compared}

    @property
    def is_conditional(self) -> bool:
        """Whether more than model and tenant decides."""
        return bool(
            self.version is not None
            or self.headers
            or self.places
            or self.asns
            or self.networks
            or self.percent < 100
        )
