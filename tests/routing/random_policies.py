"""Policies drawn at random, sound ones, and what their residency allows by an oracle of a few lines.

They are plain values, as a file has them: ``json.dumps`` makes a policy file of one.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from routing.place import CONTINENT_OF, Place

HERE: Final = "here"
MODELS: Final = ("digits", "letters")
SHADOW: Final = "shadow"
"""The version that copies of requests ask for, and no request."""
TENANTS: Final = ("anonymous", "acme", "zoo")
PLACES: Final[dict[str, Place | None]] = {
    "10.9.0.1": Place("DE", "EU"),
    "10.9.0.2": Place("US", "NA", ("US-CA",), 64496),
    "10.9.0.3": None,
}
"""Address of a client → where it is; None: that is not known."""

_CODES: Final = ("DE", "US", "EU", "NA", "AS")
_NETWORKS: Final = ("10.9.0.0/24", *(f"{address}/32" for address in PLACES))
_NAMED: Final = {"DE": Place("DE", "EU"), "US": Place("US", "NA"), "AS": Place("", "AS")}
_ENTRIES: Final[tuple[Any, ...]] = (*_NAMED, {"asn": 64500})
_REGIONS: Final = (HERE, "near", "far", "moon")
_CLASSES: Final = ("open", "strict", "other")
_ENDPOINTS: Final = ("e0", "e1", "e2", "e3", "e4")
_LABELS: Final = ("continent", "cloud")
_LISTS: Final[tuple[list[str], ...]] = ([], [], [], ["digits"], ["letters:1", "x-*"])
_BALANCING: Final = ("least_request", "round_robin", "random", "ring_hash", "maglev")

_HEDGES: Final = st.sampled_from(
    (
        None,
        {},
        {"delay_ms": 1, "budget_percent": 100},
        {"delay_ms": 1.5, "max_attempts": 3, "budget_percent": 100},
    )
)

_CACHES: Final = st.sampled_from(
    (
        {},
        {"levels": ["l1"], "ttl_s": 5, "negative_ttl_s": 1, "status_headers": True},
        {"levels": ["l2", "l1"], "stale_while_revalidate_s": 60, "stale_if_error_s": 0},
        {"bypass": [{"headers": {"x-debug": "1"}}, {"tenants": ["*"]}]},
        {"lease": False},
        {"verify_after": 1},
        {"ignore_request_cache_control": True, "ttl_by_provenance": {"central_s": 1}},
    )
)


@st.composite
def policies(draw: st.DrawFn, generation: int = 1) -> dict[str, Any]:
    """A policy for the gateway of region ``here`` in which everything that concerns residency is random."""
    regions = (HERE, *draw(_some(_REGIONS[1:])))
    classes = {name: {"regions": draw(_regions_of(regions))} for name in _CLASSES}
    named = st.sampled_from(_CLASSES)
    endpoints = {name: draw(_endpoint(int(name[1:]), regions)) for name in draw(_some(_ENDPOINTS))}
    # A route whose endpoints are all gateways is none.
    endpoints["e0"] = {**draw(_endpoint(0, regions)), "tier": "central"}
    return {
        "generation": generation,
        "regions": {region: draw(_region()) for region in regions},
        "residency": classes,
        "tenants": {tenant: {"residency": draw(named)} for tenant in TENANTS},
        "places": {code: draw(named) for code in draw(_some(_CODES, least=0))},
        "networks": draw(st.dictionaries(st.sampled_from(_NETWORKS), st.sampled_from(_ENTRIES))),
        "failover": {region: draw(_others(region, regions)) for region in regions},
        "locality": draw(_locality(regions)),
        "endpoints": endpoints,
        "routes": [
            {
                "name": model,
                "match": {"model": model},
                "num_retries": draw(st.integers(0, 5)),
                "hedge": draw(_HEDGES),
                "cache": draw(_CACHES),
                "endpoints": draw(_some(tuple(endpoints)).map(_with_central)),
                **draw(_shadow(tuple(name for name in endpoints if endpoints[name]["tier"] == "central"))),
            }
            for model in MODELS
        ],
    }


def allowed(policy: dict[str, Any], tenant: str, address: str) -> frozenset[str]:
    """The regions that may see a request of ``tenant`` from ``address``."""
    place = PLACES[address]
    for network in (f"{address}/32", _NETWORKS[0]):
        if network in policy.get("networks", ()):
            # The smallest network decides, also if it says nothing of the place.
            entry = policy["networks"][network]
            place = _NAMED[entry] if isinstance(entry, str) else place
            break
    codes = set(_CODES) if place is None else {place.country, place.continent}
    if place is not None and not place.country:
        codes |= {code for code in _CODES if CONTINENT_OF.get(code) == place.continent}
    names = [policy["tenants"][tenant]["residency"]]
    names += [name for code, name in policy["places"].items() if code in codes]
    found = set(policy["regions"])
    for name in names:
        regions = policy["residency"][name]["regions"]
        found &= set(policy["regions"]) if regions == ["*"] else set(regions)
    return frozenset(found)


def _some(names: tuple[str, ...], least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True, min_size=least)


def _with_central(names: list[str]) -> list[str]:
    return names if "e0" in names else [*names, "e0"]


def _others(region: str, regions: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    rest = tuple(each for each in regions if each != region)
    return _some(rest, least=0) if rest else st.just([])


def _shadow(centrals: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    shadow = st.fixed_dictionaries(
        {
            "version": st.just(SHADOW),
            "endpoints": _some(centrals),
            "percent": st.sampled_from((50, 100)),
            "max_in_flight": st.sampled_from((1, 4)),
            "timeout_ms": st.sampled_from((10, 300, 5000)),
        }
    )
    return st.one_of(st.just({}), shadow.map(lambda shadow: {"shadow": shadow}))


def _regions_of(regions: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    # A class of one region is what has most to lose.
    one = st.sampled_from(regions).map(lambda region: [region])
    return st.one_of(one, _some(regions), st.just(["*"]))


@st.composite
def _region(draw: st.DrawFn) -> dict[str, Any]:
    latitude, longitude = draw(st.integers(-80, 80)), draw(st.integers(-170, 170))
    return {
        "location": {"latitude": latitude, "longitude": longitude},
        "labels": {label: draw(st.sampled_from("xy")) for label in _LABELS},
    }


@st.composite
def _endpoint(draw: st.DrawFn, number: int, regions: tuple[str, ...]) -> dict[str, Any]:
    members = draw(st.integers(1, 3))
    addresses = [f"10.0.{number}.{member}:80" for member in range(1, members + 1)]
    is_pool = members > 1 or draw(st.booleans())
    return {
        "tier": draw(st.sampled_from(("central", "central", "edge"))),
        "region": draw(st.sampled_from(regions)),
        "protocol": "http",
        **({"addresses": addresses} if is_pool else {"address": addresses[0]}),
        "drain": draw(st.integers(0, 9)) == 0,
        "load_balancing": {"policy": draw(st.sampled_from(_BALANCING))},
        "models": draw(st.sampled_from(_LISTS)),
        "capacity_rps": draw(st.sampled_from((None, None, 0.5, 3.0))),
    }


@st.composite
def _locality(draw: st.DrawFn, regions: tuple[str, ...]) -> dict[str, Any]:
    mode = draw(st.sampled_from(("failover", "nearest", "distribute", "failover_priority")))
    more: dict[str, Any] = {
        "healthy_panic_threshold": draw(st.sampled_from((None, 0, 50, 100))),
        "overprovisioning_factor": draw(st.sampled_from((100, 140, 300))),
    }
    if mode == "distribute":
        weighted = draw(_some(regions))
        shares = dict.fromkeys(weighted, 100 // len(weighted))
        shares[weighted[0]] += 100 - sum(shares.values())
        more["distribute"] = [{"from": HERE, "to": shares}]
    if mode == "failover_priority":
        names = draw(_some(("region", *_LABELS)))
        more["failover_priority"] = [draw(st.sampled_from((name, f"{name}=x"))) for name in names]
    return {"mode": mode, **more}
