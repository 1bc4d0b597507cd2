"""Policies for the tests: one that is sound, and changes to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from gateway.core.request import Request, Response
from routing.policy import Policy

KEY_HASH = "7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a"  # of "abcdefg"


def values() -> dict[str, Any]:
    """A sound policy as plain values: three regions, two tenants, one place that narrows."""
    return {
        "generation": 3,
        "regions": {
            "eu-west": {"serves": ["EU", "AF"]},
            "us-east": {"serves": ["NA", "SA"]},
            "ap-south": {"serves": ["AS", "OC"]},
        },
        "endpoints": {
            "central": endpoint("us-east"),
            "central-eu": endpoint("eu-west"),
            "eu-west-gw": endpoint("eu-west", tier="edge", protocol="http"),
            "ap-south-gw": endpoint("ap-south", tier="edge", protocol="http"),
        },
        "residency": {"anywhere": {"regions": ["*"]}, "eu-only": {"regions": ["eu-west"]}},
        "tenants": {
            "anonymous": {"residency": "anywhere"},
            "acme": {"residency": "eu-only", "keys_sha256": [KEY_HASH]},
        },
        "places": {"DE": "eu-only"},
        "failover": {
            "eu-west": ["us-east", "ap-south"],
            "us-east": ["eu-west", "ap-south"],
            "ap-south": ["us-east", "eu-west"],
        },
        "routes": [
            {
                "name": "digits",
                "match": {"model": "digits"},
                "digest": "sha256:" + "0" * 64,
                "cascade": {},
                "endpoints": ["central", "central-eu", "eu-west-gw", "ap-south-gw"],
            }
        ],
    }


def endpoint(region: str, **changes: Any) -> dict[str, Any]:
    """A central gRPC endpoint in ``region``."""
    return {"tier": "central", "region": region, "protocol": "grpc", "address": "127.0.0.1:9001", **changes}


def route(name: str = "digits", model: str = "digits", *tenants: str, **changes: Any) -> dict[str, Any]:
    """A route of ``model`` for ``tenants`` (all when none is named) to the endpoint ``central``."""
    match = {"model": model, "tenants": list(tenants) or ["*"]}
    digest = "sha256:" + "0" * 64
    return {"name": name, "match": match, "digest": digest, "endpoints": ["central"], **changes}


def policy(**changes: Any) -> Policy:
    """The sound policy with whole sections replaced."""
    return msgspec.convert(values() | changes, Policy)


class Health:
    """A view in which the named endpoints are out; ``failing`` are those at which every model fails.

    Every model is lacking at ``lacks``, known to be at ``holding``; ``full`` are those at their capacity.
    """

    def __init__(self, *out: str, failing: Iterable[str] = ()) -> None:
        self.out = set(out)
        self.failing = set(failing)
        self.trips: dict[str, tuple[float, float]] = {}
        self.lacks: set[str] = set()
        self.holding: set[str] = set()
        self.full: set[str] = set()

    def is_available(self, endpoint: str) -> bool:
        return endpoint not in self.out

    def is_preferred(self, endpoint: str, model: str) -> bool:
        return endpoint not in self.out | self.failing

    def has_untried(self, endpoint: str, tried: Collection[str], model: str = "", version: str = "") -> bool:
        return endpoint not in self.out and endpoint not in {each.partition("/")[0] for each in tried}

    def can_continue(self, endpoint: str) -> bool:
        return endpoint not in self.out

    def strength(self, endpoint: str) -> tuple[int, int]:
        return int(endpoint not in self.out), 1

    def round_trip(self, endpoint: str) -> tuple[float, float] | None:
        return self.trips.get(endpoint)

    def why(self, endpoint: str) -> str:
        return "connection refused" if endpoint in self.out else ""

    def lacking(self, model: str, version: str) -> frozenset[str]:
        return frozenset(self.lacks)

    def holds(self, endpoint: str, model: str, version: str) -> bool:
        return endpoint in self.holding

    def is_full(self, endpoint: str) -> bool:
        return endpoint in self.full


class Echo:
    """Keeps the requests and fails or answers as told."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return self.response
