"""Who a request comes from and how far it has travelled: which claims of which peers are believed.

Two kinds of peers are believed. A *trusted proxy* is believed about the client's address and nothing
else. A *trusted gateway* (another Edgeway, or a proxy that authenticates clients itself) is believed about
the tenant too. A request that another gateway has forwarded carries its hops and the regions that residency
allows; from a peer that is not a trusted gateway it is refused, because its tenant is not believed and it
would be answered with the rights of another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import ANONYMOUS, Caller
from gateway.wire import headers
from gateway.wire.forwarded import TrustedProxies

_MAX_HOPS: Final = 99
_MAX_CLAIM_CHARS: Final = 128
_REFUSAL: Final = (
    "this request was forwarded by a gateway whose address is not among this gateway's trusted_gateways"
)


class Claims(msgspec.Struct):
    """What the headers of a request claim about it; empty where there is no header.

    ``forwarded``: all X-Forwarded-For lines, joined by commas in the order they came.
    """

    forwarded: str = ""
    tenant: str = ""
    credential: str = ""
    hops: str = ""
    regions: str = ""


class TrustedClaims(msgspec.Struct, frozen=True):
    """The claims that are believed: the caller, the gateways passed, the regions that are still allowed."""

    caller: Caller
    hops: int = 0
    regions: frozenset[str] | None = None


class Trust:
    """Decides which peers are believed, and about what.

    Args:
        proxies: networks that are believed about the client's address.
        gateways: networks that are believed about address, tenant, hops and regions.
        forwards_from_all: take forwarded requests from anybody. Only for a tier that has no policy and
            so nothing to protect by it: central. Whom they name as tenant keeps their sequences apart.
    """

    def __init__(
        self, proxies: Iterable[str] = (), gateways: Iterable[str] = (), *, forwards_from_all: bool = False
    ) -> None:
        gateways = tuple(gateways)
        self._addresses = TrustedProxies((*proxies, *gateways))
        self._gateways = TrustedProxies(gateways)
        self._forwards_from_all = forwards_from_all

    def __repr__(self) -> str:
        return f"<Trust {self._addresses!r}, gateways {self._gateways!r}>"

    def is_gateway(self, peer: str) -> bool:
        """Whether a peer is a trusted gateway, which names the tenants that its requests are of."""
        return self._gateways.trusts(peer)

    def check(self, peer: str, claims: Claims) -> TrustedClaims:
        """Return what is believed of ``claims`` made by ``peer``, the address of its socket.

        Raises:
            GatewayError: FORBIDDEN for a forwarded request from a peer that is not trusted, INVALID for
                headers that no gateway writes.
        """
        is_gateway = self.is_gateway(peer)
        caller = Caller(
            self._addresses.client(peer, claims.forwarded),
            (claims.tenant or ANONYMOUS) if is_gateway else ANONYMOUS,
            claims.credential,
            is_gateway,
            claimed="" if is_gateway or not self._forwards_from_all else claims.tenant[:_MAX_CLAIM_CHARS],
        )
        if not claims.hops and not claims.regions:
            return TrustedClaims(caller)
        if not is_gateway and not self._forwards_from_all:
            raise GatewayError(Fault.FORBIDDEN, _REFUSAL)
        return TrustedClaims(caller, _hops(claims.hops), _regions(claims.regions))


def regions_value(regions: frozenset[str]) -> str:
    """Render the allowed regions for the next gateway."""
    return ",".join(sorted(regions))


def _hops(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= 2):
        raise GatewayError(Fault.INVALID, f"{headers.HOPS} must be a number from 0 to {_MAX_HOPS}")
    return int(text)


def _regions(text: str) -> frozenset[str] | None:
    return frozenset(filter(None, map(str.strip, text.split(",")))) if text else None
