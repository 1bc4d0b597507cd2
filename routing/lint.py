"""Semantic lint of a policy: what the names mean to each other. Pure; every rule has a stable id.

Errors: EW101 a name that cannot be one · EW102 unknown region · EW103 unknown endpoint · EW104 unknown
residency class · EW105 unknown tenant · EW106 unknown place · EW107 bad address · EW108 named twice · EW109
bad pattern · EW110 one key for two tenants · EW111 fail-over to itself · EW112 two routes of one name ·
EW113 unreachable route · EW114 a route that cannot answer · EW115 a cascade of many models · EW120
percentages that are not 100 · EW121 one region distributed twice · EW122 a mode without what it goes by, or
with what another goes by · EW123 unknown label · EW130 an endpoint without members, or in both forms ·
EW131 half of a certificate · EW132 bad host or server name · EW133 a protocol without its ALPN · EW134 a
credential from nowhere, or from two places · EW135 bad header · EW136 a secret in the policy · EW137
ejections whose longest is shorter than the first · EW138 a bound below the average · EW140 a route behind
one that asks for no more · EW141 a header that cannot be compared · EW142 a header that may not choose ·
EW143 bad network · EW144 more than can be looked through · EW145 percentages of versions that are not 100 ·
EW146 versions beside a cascade · EW147 versions that no request needs · EW150 no name of a model · EW155
bad network of the table · EW156 a network of which nothing is said · EW157 a part of a country where
residency or homes need the country · EW158 a reserved ASN · EW159 a label that lacks its name or value, or
stands twice · EW165 an attempt longer than the request · EW170 a shadow of what answers itself · EW171 a
shadow at another gateway · EW172 a shadow without endpoints · EW173 an output that is compared and ignored ·
EW175 a hedge after the request is over · EW176 a hedge after every attempt is ·
EW177 a bypass without conditions · EW178 a header that a bypass cannot compare · EW179 a level named twice ·
EW184 answers that nobody can verify.

Warnings: EW201 region without fail-over · EW202 tenants that no central endpoint may serve · EW203 clients
that no region may serve · EW204 a place that narrows nothing · EW205 unused endpoint · EW206 ``*`` beside
names · EW207 two regions serve one place · EW208 a cache that keeps nothing · EW220 a part of the load for
a region without endpoints · EW221 a region without location · EW222 a fail-over order that is overruled ·
EW230 a credential in the clear · EW231 health checks that overlap · EW232 a field without effect · EW233 a
route whose endpoints are all drained · EW240 a place or network within another one · EW241 a percentage of
nothing · EW242 a version that nobody gets · EW250 a model that no endpoint lists · EW251 an endpoint
without the model · EW252 a capacity that nobody takes over · EW255 a private ASN that no network has ·
EW259 (``gateway.config``) a value that only YAML 1.1 takes for a truth value or number ·
EW265 an attempt as long as the request · EW266 a time of attempts that endpoints undercut · EW267
conditions of retries that are never made · EW268 a default that nobody inherits (``routing.defaults``) ·
EW270 a shadow of nothing · EW271 requests that no shadow may see · EW275 a hedge with nowhere to go ·
EW276 times of edge answers without a cascade · EW277 a field of a cache that is not enabled · EW278 what l1
alone keeps without l1 · EW279 a time that is overruled ·
EW284 answers to verify that are not there · EW285 a lease without a cache.

Notes, which ``edgeway policy validate`` alone shows (``routing.lint_endpoints.older_forms``): EW301 the
older form of an endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from routing.lint_caching import CACHING_CHECKS
from routing.lint_caching_shared import SHARED_CACHING_CHECKS
from routing.lint_endpoints import ENDPOINT_CHECKS
from routing.lint_hedging import HEDGING_CHECKS
from routing.lint_locality import LOCALITY_CHECKS
from routing.lint_matching import MATCH_CHECKS
from routing.lint_models import MODEL_CHECKS
from routing.lint_networks import NETWORK_CHECKS, not_residency
from routing.lint_retries import RETRY_CHECKS
from routing.lint_routes import ROUTE_CHECKS
from routing.lint_shadow import SHADOW_CHECKS
from routing.place import CODES, country_of
from routing.policy import ANY, Policy
from routing.problem import Path, Problem, Severity, unknown
from routing.rules.residency import regions_by_class

MAX_ERRORS: Final = 200
"""Errors that each check tells at most; and so many warnings."""

_NAMED: Final = 8
"""Residency classes that are told of one place."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_BY_FAILOVER: Final = frozenset({"failover", "distribute"})
"""Modes of locality in which the order of fail-over decides, for some region at least."""


def problems(policy: Policy) -> list[Problem]:
    """Return what is wrong with ``policy``, by rule, then in the order of the file.

    A check ends with its ``MAX_ERRORS``-th error: nobody reads more, and a large file may have 20,000.
    """
    groups = (
        ENDPOINT_CHECKS,
        ROUTE_CHECKS,
        MATCH_CHECKS,
        NETWORK_CHECKS,
        SHADOW_CHECKS,
        LOCALITY_CHECKS,
        MODEL_CHECKS,
        RETRY_CHECKS,
        HEDGING_CHECKS,
        CACHING_CHECKS,
        SHARED_CACHING_CHECKS,
    )
    checks = (*_CHECKS, *chain.from_iterable(groups))
    found = [problem for check in checks for problem in _until_enough(check(policy))]
    return sorted(found, key=lambda problem: problem.rule)


def _until_enough(found: Iterable[Problem]) -> Iterator[Problem]:
    """Pass on what is found up to the last error that is told; warnings alone never hide an error."""
    errors = warnings = 0
    for problem in found:
        is_error = problem.severity is Severity.ERROR
        errors, warnings = errors + is_error, warnings + (not is_error)
        if is_error or warnings <= MAX_ERRORS:
            yield problem
        if errors == MAX_ERRORS:
            return


def _names(policy: Policy) -> Iterator[Problem]:
    for field in ("regions", "endpoints", "residency", "tenants"):
        for name in getattr(policy, field):
            if not _NAME.fullmatch(name):
                yield Problem(
                    "EW101", (field, name), "a name is up to 64 letters, digits, dots, dashes, underscores"
                )


def _regions(policy: Policy) -> Iterator[Problem]:
    references: list[tuple[Path, str]] = [
        (("endpoints", name, "region"), endpoint.region) for name, endpoint in policy.endpoints.items()
    ]
    for name, entry in policy.residency.items():
        references += _items(("residency", name, "regions"), entry.regions)
    for name, order in policy.failover.items():
        references.append((("failover", name), name))
        references += _items(("failover", name), order)
    for path, region in references:
        if region not in policy.regions and not (region == ANY and path[0] == "residency"):
            yield Problem("EW102", path, unknown("region", region, policy.regions))


def _classes(policy: Policy) -> Iterator[Problem]:
    references: list[tuple[Path, str]] = [
        (("tenants", name, "residency"), tenant.residency) for name, tenant in policy.tenants.items()
    ]
    references += [(("places", code), name) for code, name in policy.places.items()]
    for path, name in references:
        if name not in policy.residency:
            yield Problem("EW104", path, unknown("residency class", name, policy.residency))


def _places(policy: Policy) -> Iterator[Problem]:
    references: list[tuple[Path, str]] = [(("places", code), code) for code in policy.places]
    for name, region in policy.regions.items():
        references += _items(("regions", name, "serves"), region.serves)
    for path, code in references:
        if code not in CODES:
            yield Problem("EW157" if country_of(code) else "EW106", path, not_residency(code))


def _twice(policy: Policy) -> Iterator[Problem]:
    lists: list[tuple[Path, tuple[str, ...]]] = []
    for name, region in policy.regions.items():
        lists.append((("regions", name, "serves"), region.serves))
    for name, entry in policy.residency.items():
        lists.append((("residency", name, "regions"), entry.regions))
    for name, order in policy.failover.items():
        lists.append((("failover", name), order))
    for index, route in enumerate(policy.routes):
        lists.append((("routes", index, "endpoints"), route.endpoints))
        lists.append((("routes", index, "match", "tenants"), route.match.tenants))
        lists.append((("routes", index, "retry_on"), route.retry_on or ()))
    for path, items in lists:
        seen: set[str] = set()
        for position, item in enumerate(items):
            if item in seen:
                yield Problem("EW108", (*path, position), f"'{item}' stands here twice")
            seen.add(item)
        # Endpoints and fail-over orders know no "*"; the reference rules have refused it there.
        if ANY in items and len(items) > 1:
            yield Problem("EW206", path, "'*' is everything already; the other names change nothing")


def _keys(policy: Policy) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, tenant in policy.tenants.items():
        own: set[str] = set()
        for index, digest in enumerate(tenant.keys_sha256):
            owner = owners.setdefault(digest, name)
            path = ("tenants", name, "keys_sha256", index)
            if owner != name:
                yield Problem("EW110", path, f"this key is tenant '{owner}'s already")
            elif digest in own:
                yield Problem("EW108", path, "this key stands here twice")
            own.add(digest)


def _failover(policy: Policy) -> Iterator[Problem]:
    for name, order in policy.failover.items():
        for index, region in enumerate(order):
            if region == name:
                yield Problem("EW111", ("failover", name, index), "a region cannot fail over to itself")
    locality = policy.preference
    if locality.mode not in _BY_FAILOVER or len(policy.regions) == 1:
        return
    overruled = {each.source for each in locality.distribute}
    for name in policy.regions:
        if name not in overruled and not policy.failover.get(name):
            yield Problem(
                "EW201", ("regions", name), "has no fail-over order: other regions are tried as listed"
            )


def _homes(policy: Policy) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, region in policy.regions.items():
        for index, code in enumerate(region.serves):
            owner = owners.setdefault(code, name)
            if owner != name:
                yield Problem(
                    "EW207", ("regions", name, "serves", index), f"'{code}' is served by '{owner}' already"
                )


def _narrowing(policy: Policy) -> Iterator[Problem]:
    every, classes = frozenset(policy.regions), regions_by_class(policy)
    members: dict[str, list[str]] = {}
    for tenant_name, tenant in policy.tenants.items():
        if tenant.residency in classes:
            members.setdefault(tenant.residency, []).append(tenant_name)
    used = [(residency, classes[residency]) for residency in members]
    for code, name in policy.places.items():
        if name not in classes or code not in CODES:
            continue
        if classes[name] == every:
            yield Problem(
                "EW204", ("places", code), f"class '{name}' allows all regions: nothing is narrowed"
            )
        is_apart = classes[name].isdisjoint
        for residency in islice((residency for residency, regions in used if is_apart(regions)), _NAMED):
            names = members[residency]
            tenants = f"tenant '{names[0]}'" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            yield Problem(
                "EW203",
                ("places", code),
                f"clients of {tenants} in {code} are refused: no region is in both '{residency}' and "
                f"'{name}'",
            )


def _items(path: Path, names: Iterable[str]) -> Iterator[tuple[Path, str]]:
    return (((*path, index), name) for index, name in enumerate(names))


_CHECKS: Final = (
    _names,
    _regions,
    _classes,
    _places,
    _twice,
    _keys,
    _failover,
    _homes,
    _narrowing,
)
