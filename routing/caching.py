"""What of a route's answers is cached, where and for how long, as the policy has it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from gateway.core.request import Request
from routing.header_tests import HeaderTest, header_test
from routing.match import ANY, HeaderMatch

MONTH_S: Final = 2_592_000
DAY_S: Final = 86_400

_TtlS = Annotated[float, msgspec.Meta(gt=0, le=MONTH_S)]
_StaleS = Annotated[float, msgspec.Meta(ge=0, le=DAY_S)]
_Value = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class TtlByProvenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds for which an answer stays fresh, by what computed it; before ``ttl_s``.

    ``central_s``: central. ``edge_s``: the edge, by its certificate. ``edge_uncertified_s``: the edge without
    one, in L1 only; 0: never kept.
    """

    central_s: _TtlS | None = None
    edge_s: _TtlS | None = None
    edge_uncertified_s: Annotated[float, msgspec.Meta(ge=0, le=5)] | None = None


class CacheBypass(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Requests that the cache has no part in: all that is given must hold.

    ``headers``: name → its value, or how it is compared, as in ``match``. ``tenants``: names.
    """

    headers: Annotated[dict[str, _Value | HeaderMatch], msgspec.Meta(max_length=4)] = {}
    tenants: Annotated[tuple[str, ...], msgspec.Meta(max_length=256)] = ()

    @property
    def compared(self) -> list[tuple[str, HeaderMatch]]:
        """Each header, as the file spells it, with how it is compared."""
        return [
            (name, HeaderMatch(exact=match) if isinstance(match, str) else match)
            for name, match in self.headers.items()
        ]


class RouteCache(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of it is cached. What is absent is as each gateway's own settings have it.

    ``enabled``: whether anything is. ``levels``: those in use; ``[l1]`` keeps answers in each process alone,
    ``[l2]`` in Redis alone. A gateway without L2 keeps nothing of a route that names only that. ``ttl_s``:
    seconds for which an answer stays fresh. ``stale_while_revalidate_s``: seconds past that in which it is
    served at once, marked as stale, while one refresh runs. ``stale_if_error_s``: seconds past that in which
    it stands in for an answer that cannot be had. ``negative_ttl_s``: seconds for which an endpoint's
    verdict on inputs, 400 or INVALID_ARGUMENT, is kept, in L1 only. ``bypass``: requests that are neither
    answered from the cache nor kept; those for which one entry holds. ``ignore_request_cache_control``:
    whether clients' ``Cache-Control`` means nothing. ``status_headers``: whether answers say ``Age`` and
    ``x-edgeway-cache``. ``lease``: whether of several processes that miss an answer at a time, and share one
    Redis, one computes it while the others wait; false: each computes it for itself. ``verify_after``: hits
    of an answer of the edge after which central is asked once, and its answer is kept instead; absent:
    never. Only with ``cascade``.
    """

    enabled: bool = True
    levels: Annotated[tuple[Literal["l1", "l2"], ...], msgspec.Meta(min_length=1, max_length=2)] | None = None
    ttl_s: _TtlS | None = None
    ttl_by_provenance: TtlByProvenance | None = None
    stale_while_revalidate_s: _StaleS | None = None
    stale_if_error_s: _StaleS | None = None
    negative_ttl_s: Annotated[float, msgspec.Meta(ge=0, le=300)] | None = None
    bypass: Annotated[tuple[CacheBypass, ...], msgspec.Meta(max_length=16)] = ()
    ignore_request_cache_control: bool | None = None
    status_headers: bool | None = None
    lease: bool = True
    verify_after: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None


class BypassRules:
    """Says which requests pass the cache of a route by: one for which any of ``bypasses`` holds.

    Raises:
        ValueError: for a regex that RE2 does not take.
    """

    def __init__(self, bypasses: tuple[CacheBypass, ...]) -> None:
        self._tests: list[tuple[frozenset[str], list[tuple[str, HeaderTest]]]] = [
            (
                frozenset(each.tenants),
                [(name.lower(), header_test(match)) for name, match in each.compared],
            )
            for each in bypasses
        ]

    def __repr__(self) -> str:
        return f"<BypassRules {len(self._tests)}>"

    def __call__(self, request: Request) -> bool:
        """Whether ``request`` passes it by."""
        headers = dict(request.routed)
        return any(
            (not tenants or ANY in tenants or request.caller.tenant in tenants)
            and all(name in headers and test(headers[name]) for name, test in tests)
            for tenants, tests in self._tests
        )


def bypass_headers(rules: RouteCache) -> frozenset[str]:
    """Return the headers, in small letters, by which requests pass the cache by."""
    return frozenset(name.lower() for each in rules.bypass for name in each.headers)
