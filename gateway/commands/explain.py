"""`edgeway policy explain`: what a policy does with one request, by the rules that a gateway goes by."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from gateway.commands.arguments import add_command
from gateway.config.document import ConfigError
from gateway.config.policy_file import load_policy
from gateway.core.request import ANONYMOUS
from routing.matching import Routes
from routing.place import CONTINENT_OF, Place, place_of
from routing.policy import Policy, Route
from routing.problem import unknown
from routing.rules.home import home
from routing.rules.order import reachable
from routing.rules.residency import allowed

EXAMPLES: Final = """\
  edgeway policy explain policy.yaml --model digits --client-country DE
  edgeway policy explain policy.yaml --model digits --client-country DE --tenant acme --region us-east

Without --client-country the client's place is not known, and all rules for places apply. Without
--region the client calls the region that is its home. Endpoints are in the order in which they are
tried, all being well: those whose breaker is open are passed over.

exit codes: 0 the request is answered, 1 it is refused (the last line says why), 2 a file or an argument
is wrong
"""


def add_to(group: Any) -> None:
    """Add `edgeway policy explain`."""
    about = "tell what a policy does with a request: home, residency, route, endpoints"
    parser = add_command(group, "explain", _explain, about=about, examples=EXAMPLES)
    parser.add_argument("file", type=Path, metavar="FILE", help="the policy, YAML")
    parser.add_argument("--model", required=True, metavar="NAME", help="the model that is asked for")
    parser.add_argument("--tenant", default=ANONYMOUS, metavar="NAME", help=f"who asks ({ANONYMOUS})")
    parser.add_argument("--client-country", type=_country, metavar="ISO", help="where the client is, as DE")
    parser.add_argument("--region", metavar="NAME", help="whose gateway is called (the client's home)")


def _country(text: str) -> Place:
    place = place_of(text.upper())
    if place is None:
        raise argparse.ArgumentTypeError(unknown("ISO 3166 country", text.upper(), CONTINENT_OF))
    return place


def _explain(options: argparse.Namespace) -> int:
    policy, _ = load_policy(options.file)
    place: Place | None = options.client_country
    homely = home(policy, place) if place else None
    region = options.region or homely
    if region is None:
        regions = ", ".join(policy.regions)
        complaint = f"--region: this client is at home nowhere; say whose gateway it calls: {regions}"
        raise ConfigError(options.file, complaint)
    _check_known(options.file, "region", region, policy.regions)
    _check_known(options.file, "tenant", options.tenant, policy.tenants)
    rows, refusal = explain(policy, model=options.model, tenant=options.tenant, place=place, region=region)
    client = (
        f"{place.country}, continent {place.continent}" if place else "place not known: every rule applies"
    )
    rows = [("client", client), ("home", homely or "none"), *rows, ("outcome", refusal or "answered")]
    width = max(len(name) for name, _ in rows)
    for name, told in rows:
        print(f"{name:{width}}  {told}")
    return 1 if refusal else 0


def _check_known(file: Path, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ConfigError(file, f"--{kind}: {unknown(kind, name, known)}")


def explain(
    policy: Policy, *, model: str, tenant: str, place: Place | None, region: str
) -> tuple[list[tuple[str, str]], str]:
    """Return what happens to a request, named line by line, and why it is refused (empty: it is not).

    ``region``, whose gateway is called, and ``tenant`` are the policy's own.
    """
    decision = allowed(policy, tenant, place)
    regions = ", ".join(name for name in policy.regions if name in decision.regions)
    rows = [("tenant", tenant), ("residency", decision.residency), ("allowed", regions or "no region")]
    route = Routes(policy).find(model, tenant)
    if route is None:
        return rows, f"refused, 404: no route takes model '{model}' from tenant '{tenant}'"
    rows.append(("route", f"{route.name} (routes[{policy.routes.index(route)}])"))
    if not decision.regions:
        return rows, "refused, 503: no region may see a request of this tenant from this place"
    is_here = region in decision.regions
    layers = _layers(route) if is_here else "passes it on; nothing is computed or kept there"
    rows.append(("gateway", f"{region}: {layers}"))
    names = reachable(policy, route, region, decision.regions, edges=True)
    for number, name in enumerate(names, 1):
        endpoint = policy.endpoints[name]
        told = f"{name}: {endpoint.tier} tier of {endpoint.region}, {endpoint.protocol} {endpoint.address}"
        rows.append((f"endpoint {number}", told))
    if not names and not (is_here and route.cascade):
        return rows, "refused, 503: no endpoint of the route lies in an allowed region"
    return rows, ""


def _layers(route: Route) -> str:
    """Name what a gateway asks before any endpoint."""
    layers = ["cache"] if route.cache.enabled and route.digests else []
    if route.cascade:
        layers.append(f"edge model if it has one ({route.cascade.on_central_down} while central is down)")
    return ", ".join([*layers, "endpoints"])
