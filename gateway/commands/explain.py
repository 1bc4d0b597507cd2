"""`edgeway policy explain`: what a policy does with one request, by the rules that a gateway goes by.

With ``--stack`` it shows the layers that such a request meets.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from gateway.commands.arguments import add_command
from gateway.commands.explain_client import add_client, client_of, described
from gateway.commands.explain_locality import panic, preferred
from gateway.commands.explain_pool import rows_of
from gateway.commands.explain_settings import row_of_endpoint, rows_of_route
from gateway.config.document import ConfigError
from gateway.config.policy_file import load_policy, read_inheritance
from gateway.core.request import ANONYMOUS, Caller, Request
from routing.conditions import VERSION
from routing.defaults import NOTHING_INHERITED, InheritedFields
from routing.hedging import RouteHedge
from routing.matching import Routes
from routing.place import Place
from routing.policy import Policy, Route
from routing.problem import unknown
from routing.rules.home import home
from routing.rules.outcome import Outcome, outcome
from routing.rules.shadow_endpoints import shadow_endpoints
from routing.shadow import Shadow

EXAMPLES: Final = """\
  edgeway policy explain policy.yaml --model digits --client-country DE
  edgeway policy explain policy.yaml --model digits --client-country DE --tenant acme --region us-east
  edgeway policy explain policy.yaml --model digits --client-country DE --header x-team=vision
  edgeway policy explain policy.yaml --model digits --client-country US-CA --client-asn 64500
  edgeway policy explain policy.yaml --model digits --client-address 81.2.69.142 --geo GeoLite2-City.mmdb
  edgeway policy explain policy.yaml --stack --region eu-west
  edgeway policy explain policy.yaml --stack --model digits --settings gateway.yaml
  edgeway policy explain policy.yaml --stack --settings gateway.yaml --json | jq .routes

Without --client-country the client is where the policy's networks have --client-address, else where the
databases of --geo have it; else its place is not known, and all rules for places apply. Without --region
the client calls the region that is its home, or the only one. Endpoints are in the order in which they
are tried, all being well and nothing measured yet: those whose breaker is open are passed over. The line
"locality" says what their order goes by. Those that do not list the model are passed over; a running
gateway also goes by their indexes, which `edgeway endpoint list` shows. Of an endpoint with several
members one is picked for each attempt, and the next attempt goes to another. Of settings it is said
whose they are: those of the route or endpoint itself, of the policy's defaults, or of each gateway.

--stack shows the layers of every route, or of that of --model and --tenant, outermost first: role, filter,
what observes it, and why it stands there. Without --settings, default settings are taken. A running gateway
shows its own, with their state, at /stack of its admin port.

exit codes: 0 the request is answered, or the stack shown; 1 it is refused (the last line says why); 2 a file
or an argument is wrong
"""

_REFUSALS: Final = {
    "no_region": "refused, 503: no region may see a request of this tenant from this place",
    "no_endpoint": "refused, 503: no endpoint of the route lies in an allowed region",
}
_DRAINED: Final = "refused, 503: every endpoint that may be asked is drained"


def add_to(group: Any) -> None:
    """Add `edgeway policy explain`."""
    about = "show what a policy does with a request: home, residency, route, endpoints, layers"
    parser = add_command(group, "explain", _explain, about=about, examples=EXAMPLES)
    parser.add_argument("file", type=Path, metavar="FILE", help="the policy, YAML")
    parser.add_argument("--model", metavar="NAME", help="the model of the request; needed without --stack")
    parser.add_argument(
        "--tenant", default=ANONYMOUS, metavar="NAME", help=f"the tenant of the request ({ANONYMOUS})"
    )
    add_client(parser)
    parser.add_argument("--version", default="", metavar="VERSION", help="that the request names")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="NAME=VALUE",
        help="a header of the request; may be given several times",
    )
    parser.add_argument("--region", metavar="NAME", help="whose gateway is called (the client's home)")
    parser.add_argument("--stack", action="store_true", help="show the layers of each route, and why")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="with --stack: the gateway's settings")
    parser.add_argument("--json", action="store_true", help="with --stack: as JSON")


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return name.lower(), value


def _explain(options: argparse.Namespace) -> int:
    policy, content = load_policy(options.file)
    if options.stack:
        return _show_stack(policy, options)
    for name in ("settings", "json"):
        if getattr(options, name):
            raise ConfigError(options.file, f"--{name}: it goes with --stack")
    if options.model is None:
        raise ConfigError(options.file, "--model: name the model of the request, or add --stack")
    place, source = client_of(policy, options)
    homely = home(policy, place) if place else None
    region = options.region or homely or (next(iter(policy.regions)) if len(policy.regions) == 1 else None)
    if region is None:
        regions = ", ".join(policy.regions)
        complaint = f"--region: this client is at home nowhere; say whose gateway it calls: {regions}"
        raise ConfigError(options.file, complaint)
    _check_known(options.file, "region", region, policy.regions)
    _check_known(options.file, "tenant", options.tenant, policy.tenants)
    like = Request(
        options.model,
        (),
        version=options.version,
        caller=Caller(options.client_address),
        routed=tuple(options.header),
    )
    inheritance = read_inheritance(options.file, content)
    rows, refusal = explain(
        policy, like, tenant=options.tenant, place=place, region=region, inheritance=inheritance
    )
    rows = [
        ("client", described(place, source)),
        ("home", homely or "none"),
        *rows,
        ("outcome", refusal or "answered"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:{width}}  {text}")
    return 1 if refusal else 0


def _show_stack(policy: Policy, options: argparse.Namespace) -> int:
    # It assembles the stacks as a gateway does; all else here needs nothing but the policy.
    from gateway.commands import explain_stack  # noqa: PLC0415

    region = options.region or (home(policy, options.client_country) if options.client_country else None)
    settings = explain_stack.settings_of(options.settings, region, policy, options.file)
    name = None
    if options.model is not None:
        _check_known(options.file, "tenant", options.tenant, policy.tenants)
        route = Routes(policy).find(options.model, options.tenant)
        if route is None:
            print(_no_route(options.model, options.tenant))
            return 1
        name = route.name
    report = explain_stack.stacks_of(policy, settings, options.settings, name)
    show = explain_stack.as_json if options.json else explain_stack.as_text
    print(show(report, settings.region, is_assumed=options.settings is None))
    return 0


def _no_route(model: str, tenant: str) -> str:
    return f"refused, 404: no route takes model '{model}' from tenant '{tenant}'"


def _check_known(file: Path, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ConfigError(file, f"--{kind}: {unknown(kind, name, known)}")


def explain(
    policy: Policy,
    like: Request,
    *,
    tenant: str,
    place: Place | None,
    region: str,
    inheritance: InheritedFields = NOTHING_INHERITED,
) -> tuple[list[tuple[str, str]], str]:
    """Return what happens to a request, named line by line, and why it is refused (empty: it is not).

    ``region``, whose gateway is called, and ``tenant`` are the policy's own. ``like`` has the model, and what
    else routes may ask for. ``inheritance``: what routes and endpoints have of the policy's defaults.
    """
    model = like.model
    found = outcome(policy, model=model, tenant=tenant, place=place, region=region, like=like)
    route, may_see = found.route, found.allowed
    regions = ", ".join(name for name in policy.regions if name in may_see.regions)
    rows = [("tenant", tenant), ("residency", may_see.residency), ("allowed", regions or "no region")]
    rows += [("passed over", _passed(policy, *each)) for each in found.passed]
    if route is None:
        return rows, _no_route(model, tenant)
    index = policy.routes.index(route)
    rows.append(("route", f"{route.name} (routes[{index}])"))
    rows += rows_of_route(policy, route, inheritance.of("routes", index))
    if route.versions:
        rows.append(("version", _versions(route, like.version)))
    if may_see.regions:
        layers = _layers(route) if found.is_here else "passes it on; nothing is computed or kept there"
        rows.append(("gateway", f"{region}: {layers}"))
    if route.hedge is not None:
        rows.append(("hedge", _hedge(route.hedge)))
    if route.cascade is not None and route.cache.verify_after is not None:
        rows.append(("verified", f"the edge's answers, at central after {route.cache.verify_after} hits"))
    if route.shadow is not None:
        rows.append(("shadow", _shadow(policy, route, route.shadow, found, region)))
    names = found.endpoints
    rows += _models(model, names, found.lacking)
    if names:
        names, why = preferred(policy, region, names)
        rows.append(("locality", why))
        rows += panic(policy)
    for number, name in enumerate(names, 1):
        endpoint = policy.endpoints[name]
        rows += rows_of(number, name, endpoint)
        rows += row_of_endpoint(policy, number, endpoint, inheritance.of("endpoints", name))
    return rows, _REFUSALS.get(found.refusal, "") or _drained(policy, route, found)


def _drained(policy: Policy, route: Route, found: Outcome) -> str:
    """Say that nothing can be sent anywhere: what the policy drains is no fault that may pass."""
    has_edge_model = found.is_here and route.cascade is not None
    all_drained = all(policy.endpoints[name].drain for name in found.endpoints)
    return _DRAINED if found.endpoints and all_drained and not has_edge_model else ""


def _passed(policy: Policy, route: Route, lacks: str) -> str:
    if lacks == "percent":
        lacks = f"it takes {route.match.percent:g} % of such requests, by {route.sticky_by}"
    else:
        lacks = f"{lacks}: not what it asks for"
    return f"{route.name} (routes[{policy.routes.index(route)}]): {lacks}"


def _models(model: str, names: Collection[str], lacking: frozenset[str]) -> list[tuple[str, str]]:
    """Return the lines about endpoints whose list lacks the model."""
    if lacking and lacking.issuperset(names):
        return [("models", f"no endpoint lists '{model}': the first says that there is no such model")]
    return [("passed over", f"{name}: '{model}' is not among its models") for name in sorted(lacking)]


def _versions(route: Route, named: str) -> str:
    if named:
        return f"{named}, which the request names"
    parts = ", ".join(f"{version} ({percent} %)" for version, percent in route.versions.items())
    choosers = ", ".join(route.version_override)
    return f"{parts}, by {route.sticky_by}{f'; {VERSION} of {choosers} chooses' if choosers else ''}"


def _hedge(hedge: RouteHedge) -> str:
    """Say when another attempt is sent."""
    if hedge.delay_ms is not None:
        after = f"{hedge.delay_ms:g} ms"
    else:
        after = f"the p{hedge.percentile:g} of what first attempts take, {hedge.min_delay_ms:g} ms at least"
    further = hedge.max_attempts - 1
    attempts = "another attempt" if further == 1 else f"up to {further} more attempts, each"
    return f"{attempts} elsewhere after {after}; {hedge.budget_percent:g} % of requests at most"


def _shadow(policy: Policy, route: Route, shadow: Shadow, found: Outcome, region: str) -> str:
    names = shadow_endpoints(policy, route, shadow, region, found.allowed.regions)
    if not names:
        return "none: no endpoint of it lies in an allowed region, or this gateway may not keep the request"
    version = f", version {shadow.version}" if shadow.version else ""
    return f"{shadow.percent:g} % of what no cache has, after the answer, to {', '.join(names)}{version}"


def _layers(route: Route) -> str:
    """Name what a gateway tries before any endpoint."""
    layers = []
    if route.cache.enabled and route.digests:
        levels = route.cache.levels
        layers.append(f"cache ({' and '.join(levels)} alone)" if levels else "cache")
    if route.cascade:
        layers.append(f"edge model if it has one ({route.cascade.on_central_down} while central is down)")
    return ", ".join([*layers, "endpoints"])
