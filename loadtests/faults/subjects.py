"""What stands before the members: an edge of ours, or Envoy, with the same numbers where both have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.peers.envoy import configuration

NAME: Final = "central.test"
RETRIES: Final = 2
ATTEMPT_S: Final = 1.0
CHECK_S: Final = 0.5
FAILURES: Final = 5
REFRESH_S: Final = 1.0

_EDGE: Final = f"""\
role: edge
region: home
listen: {{http: '127.0.0.1:HTTP', grpc: null, admin: '127.0.0.1:ADMIN'}}
policy: policy.yaml
resilience: {{retry: {{num_retries: {RETRIES}, per_try_timeout_ms: {ATTEMPT_S * 1000}}}}}
upstreams: {{http: {{dns_refresh_rate_s: {REFRESH_S}}}}}
"""


@dataclass(frozen=True)
class Layout:
    """``groups``: addresses by region, those of the first preferred. ``slow_start_s``: 0: none."""

    groups: Sequence[Sequence[str]]
    slow_start_s: float = 0.0

    @property
    def is_named(self) -> bool:
        """Whether there is a name among the addresses."""
        return any(NAME in address for group in self.groups for address in group)


def write_edge(folder: Path, layout: Layout, http: int, admin: int) -> Path:
    """Write policy and settings of an edge; return the file of the settings."""
    endpoints = {
        f"central-{number}": {
            "tier": "central",
            "region": "home" if not number else "far",
            "protocol": "http",
            "addresses": list(addresses),
            "health_check": {
                "interval_s": CHECK_S,
                "timeout_s": CHECK_S,
                "unhealthy_threshold": 2,
                "initial_jitter_s": CHECK_S,
            },
            "outlier_detection": {"consecutive_5xx": FAILURES, "interval_s": 1, "base_ejection_time_s": 5},
            "load_balancing": {"slow_start_window_s": layout.slow_start_s},
        }
        for number, addresses in enumerate(layout.groups)
    }
    policy = {
        "generation": 1,
        "regions": {"home": {"serves": ["EU"]}, "far": {"serves": ["US"]}},
        "residency": {"anywhere": {"regions": ["*"]}},
        "tenants": {"anonymous": {"residency": "anywhere"}},
        "endpoints": endpoints,
        "routes": [{"name": "all", "endpoints": list(endpoints)}],
    }
    (folder / "policy.yaml").write_text(json.dumps(policy))
    file = folder / "edge.yaml"
    file.write_text(_EDGE.replace("HTTP", str(http)).replace("ADMIN", str(admin)))
    return file


def write_envoy(folder: Path, layout: Layout, port: int) -> Path:
    """Write Envoy's configuration; return its file."""
    text = configuration(port, _cluster(layout))
    (listener,) = text["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    route["timeout"] = "15s"
    route["retry_policy"] = {
        "retry_on": "5xx,reset,connect-failure",
        "num_retries": RETRIES,
        "per_try_timeout": f"{ATTEMPT_S}s",
        "host_selection_retry_max_attempts": 5,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
    }
    file = folder / "envoy.json"
    file.write_text(json.dumps(text))
    return file


def _cluster(layout: Layout) -> dict[str, Any]:
    slow_start = {"slow_start_config": {"slow_start_window": f"{layout.slow_start_s}s"}}
    return {
        "name": "upstream",
        "type": "STRICT_DNS" if layout.is_named else "STATIC",
        "dns_refresh_rate": f"{REFRESH_S}s",
        "dns_lookup_family": "V4_ONLY",
        **({"typed_dns_resolver_config": _RESOLVER} if layout.is_named else {}),
        "connect_timeout": f"{ATTEMPT_S}s",
        "lb_policy": "LEAST_REQUEST",
        **({"least_request_lb_config": slow_start} if layout.slow_start_s else {}),
        "circuit_breakers": {
            "thresholds": [{"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}}]
        },
        "health_checks": [
            {
                "timeout": f"{CHECK_S}s",
                "interval": f"{CHECK_S}s",
                "no_traffic_interval": f"{CHECK_S}s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/v2/health/ready"},
            }
        ],
        "outlier_detection": {
            "consecutive_5xx": FAILURES,
            "interval": "1s",
            "base_ejection_time": "5s",
            "max_ejection_percent": 50,
        },
        "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [
                {"priority": number, "lb_endpoints": [_endpoint(address) for address in group]}
                for number, group in enumerate(layout.groups)
            ],
        },
    }


_RESOLVER: Final = {
    "name": "envoy.network.dns_resolver.getaddrinfo",
    "typed_config": {
        "@type": "type.googleapis.com/"
        "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig"
    },
}


def _endpoint(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
