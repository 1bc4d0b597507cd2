"""The order of everything that happens to a request, and why each layer stands where it stands.

Here layers are put together, those that keep answers with ``gateway.app.cache_layers``:
role, reason and filter of each, outermost first. A stack is built once per policy generation and route; a
layer that a route does not use is not in its stack. `edgeway policy explain --stack` and ``/stack`` of the
admin port show these lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from edge_models.cascade import Cascade
from gateway.app.cache_layers import KnownModels, cache_layers
from gateway.app.hedging import hedge_layer
from gateway.app.observe import Observed
from gateway.app.parts import CacheParts, Parts, RouteEdgeModel, longest_s, timeout_s
from gateway.app.shadow_layers import shadow_layers
from gateway.app.verification import CentralTier, central_endpoints
from gateway.core.request import Caller
from gateway.core.service import Filter, Service
from gateway.core.stack import Innermost, Layer, Stack
from gateway.telemetry.provenance import ProvenanceParameters
from gateway.upstreams.abilities import Abilities
from gateway.upstreams.answer_check import AnswerCheck
from gateway.upstreams.endpoint_classes import EndpointClasses
from resilience.admission import Admission
from resilience.attempt import AttemptTimeout
from resilience.breaker import Breaker
from resilience.bulkhead import Bulkhead
from resilience.deadline import Deadline
from resilience.per_try import PerTryTimeout
from resilience.retry import Retry
from routing.policy import Policy, Route
from routing.preference import preference
from routing.residency import Locate, Residency
from routing.router import Router
from routing.rules.order import View
from routing.spillover import within_capacity
from routing.version_split import VersionSplit

_COUNTS: Final = (
    "Outermost: whoever waits here for a place waits at this member, and counts when one is chosen."
)
_LEARNS: Final = "Inside of the attempt's time: to learn what the endpoint can do is part of an attempt."


def shared_stack(
    parts: Parts, policy: Policy | None, service: Service, check: Callable[[Caller], Caller]
) -> Stack:
    """Return what all routes share: everything that must happen before a route is known.

    ``service`` chooses the route, and ``check`` identifies callers; without a policy there is nothing to
    choose or to check.
    """
    return Stack(
        Layer(
            "provenance",
            "Outside of everything that counts, keys or computes: only the client shall see what it adds.",
            ProvenanceParameters(parts.region, policy.generation if policy else 0),
        ),
        *parts.observed.outermost(),
        Layer(
            "drain", "Outside of Admission, so that a refusal under way is waited for as well.", parts.drain
        ),
        Layer(
            "admission",
            "Above everything that waits or allocates: a refusal must be cheap. Listeners have identified "
            "the caller from the head, before its body was read; who comes without that is identified here.",
            Admission(check, parts.seats, parts.resilience.admission, parts.telemetry),
            parts.observed.span("admission"),
        ),
        innermost=Innermost(
            "routes", "Below Admission: a route is chosen by model and by the checked tenant.", service
        ),
    )


def central_stack(parts: Parts, predictor: Service, owner: Filter | None = None) -> Stack:
    """Return the stack of a central tier: no cache, no policy, no further tier.

    ``owner``: where there are several workers, hands a step of a sequence to the one that has its state.
    """
    limits = parts.resilience.deadline
    deadline = Deadline(
        limits.default_timeout_ms / 1000, parts.clock, max_timeout_s=limits.max_timeout_ms / 1000
    )
    layer = Layer(
        "deadline",
        "Above the models, so that a request that waits for its batch waits no longer than its caller.",
        deadline,
        parts.observed.span("deadline"),
    )
    reason = "Above the models: another worker may have the state. Below Deadline, whose time goes along."
    return Stack(
        layer,
        *_owned(owner, reason),
        innermost=Innermost(
            "models", "The models of this process answer.", predictor, parts.observed.layer("model")
        ),
    )


def route_stack(
    parts: Parts,
    policy: Policy,
    route: Route,
    *,
    locate: Locate,
    endpoints: Mapping[str, Service],
    view: View,
    known: KnownModels,
    cache: CacheParts | None,
    edge: RouteEdgeModel | None,
    owner: Filter | None = None,
) -> Stack:
    """Return the stack of one route of an edge gateway, below what all routes share.

    ``known``: what the endpoints say of their models. ``owner``: where there are several workers, hands a
    step of a sequence to the one that knows its endpoint.
    """
    timed = _timed(parts, route)
    chooses = _router(parts, policy, route, endpoints=endpoints, view=view)
    hedge = hedge_layer(parts, route, chooses)
    sending = (*_per_try(route), *_retry(parts, route), *hedge, *_owner_of_state(owner))
    router = Innermost(
        "router",
        "Below Retry: each attempt goes where those before have not failed, to the nearest endpoint first.",
        chooses,
    )
    shadow = shadow_layers(parts, policy, route, endpoints=endpoints, view=view)
    abroad = Stack(timed, *shadow, *sending, innermost=router)
    central = _central_tier(parts, policy, route, endpoints=endpoints, view=view)
    residency = Layer(
        "residency",
        "Fixes the allowed regions before anything can leave. Where this region is not among them the "
        "request goes abroad, past the local cache and model.",
        Residency(policy, parts.region, locate=locate, abroad=abroad.entry, telemetry=parts.telemetry),
        parts.observed.span("residency"),
        {"abroad": abroad},
    )
    return Stack(
        *_versions(parts, route),
        residency,
        timed,
        *parts.enrich(route),
        # Without a cascade no edge answer may come out of the cache, not even one kept before.
        *cache_layers(parts, route, cache, edge if route.cascade else None, known, central=central),
        *shadow,
        *_cascade(parts, route, edge),
        *sending,
        innermost=router,
    )


def member_stack(
    observed: Observed,
    upstream: Service,
    *,
    meter: Filter,
    breaker: Breaker,
    bulkhead: Bulkhead,
    attempt_timeout: AttemptTimeout,
    answer_check: AnswerCheck,
    classes: EndpointClasses,
    abilities: Abilities | None,
) -> Stack:
    """Return the stack of one member of an endpoint. It outlives policies; the routes that name it share it.

    ``meter``: measures its load. ``abilities``: for an upstream that must learn what its endpoint can do.
    """
    observers = observed.layer("upstream", outward=True)
    learning = (Layer("abilities", _LEARNS, abilities, observers),) if abilities is not None else ()
    return Stack(
        Layer("load", _COUNTS, meter),
        Layer(
            "breaker",
            "Above AttemptTimeout, so that it sees timeouts; below Retry, so that every attempt is counted.",
            breaker,
        ),
        Layer(
            "bulkhead",
            "Above AttemptTimeout: the wait for a free place is ours, and no evidence against the endpoint.",
            bulkhead,
        ),
        Layer(
            "attempt timeout",
            "Directly around the endpoint: it times nothing else, so what it reports counts against it.",
            attempt_timeout,
        ),
        Layer(
            "answer check",
            "Below the Breaker and Retry: an answer that is not the model's is a failure of the endpoint's, "
            "and is neither kept nor sent.",
            answer_check,
        ),
        _endpoint_classes(classes),
        *learning,
        innermost=Innermost(
            "upstream", "Sends the request to the endpoint.", upstream, () if learning else observers
        ),
    )


def mirror_stack(
    observed: Observed,
    upstream: Service,
    *,
    answer_check: AnswerCheck,
    classes: EndpointClasses,
    abilities: Abilities | None,
) -> Stack:
    """Return the stack of copies of requests at one member: what stands directly around the endpoint.

    There is no breaker and no load: a shadow must neither put out nor slow down what serves callers. It takes
    none of their places, since the route's shadow has few of its own, and a time limit of its own.
    """
    learning = (Layer("abilities", _LEARNS, abilities),) if abilities is not None else ()
    return Stack(
        Layer(
            "answer check", "Outermost: an answer that is not the model's is none to compare.", answer_check
        ),
        _endpoint_classes(classes),
        *learning,
        innermost=Innermost(
            "upstream", "Sends the copy to the endpoint.", upstream, observed.layer("shadow", outward=True)
        ),
    )


def _timed(parts: Parts, route: Route) -> Layer:
    return Layer(
        "deadline",
        "Above everything that may wait, the cache among it: a stalled Redis cannot outlive the caller.",
        Deadline(timeout_s(parts, route), parts.clock, max_timeout_s=longest_s(parts, route)),
        parts.observed.span("deadline"),
    )


def _router(
    parts: Parts, policy: Policy, route: Route, *, endpoints: Mapping[str, Service], view: View
) -> Router:
    names = [name for name in route.endpoints if name in policy.endpoints]
    order = preference(policy, parts.region, names, view, clock=parts.clock, chance=parts.chance)
    return Router(
        policy,
        route,
        parts.region,
        endpoints=endpoints,
        view=view,
        placements=parts.placements,
        order=within_capacity(order, policy, parts.region, names, view),
    )


def _central_tier(
    parts: Parts, policy: Policy, route: Route, *, endpoints: Mapping[str, Service], view: View
) -> CentralTier | None:
    """Return where popular answers of the edge are verified; None: they are not."""
    names = central_endpoints(policy, route) if route.cascade and route.cache.verify_after else ()
    if not names:
        return None
    only = msgspec.structs.replace(route, endpoints=names)
    router = _router(parts, policy, only, endpoints=endpoints, view=view)
    return CentralTier(names, router, view.is_available)


def _owned(owner: Filter | None, reason: str) -> tuple[Layer, ...]:
    return (Layer("sequence owner", reason, owner),) if owner is not None else ()


def _owner_of_state(owner: Filter | None) -> tuple[Layer, ...]:
    return _owned(owner, "Directly above the Router: one of the workers knows which endpoint has the state.")


def _endpoint_classes(classes: EndpointClasses) -> Layer:
    reason = "Below the answer check, which knows its mark; inside of the attempt's time, as it may wait."
    return Layer("endpoint classes", reason, classes)


def _versions(parts: Parts, route: Route) -> tuple[Layer, ...]:
    if not route.versions:
        return ()
    reason = (
        "Above the caches, whose keys have the version, and above Retry: it is chosen once for a request."
    )
    return (Layer("versions", reason, VersionSplit(route), parts.observed.span("versions")),)


def _per_try(route: Route) -> tuple[Layer, ...]:
    if route.per_try_timeout_ms is None:
        return ()
    reason = (
        "Above Retry: noted once for all attempts. Members of endpoints keep it, when their turn has come."
    )
    return (Layer("per-try timeout", reason, PerTryTimeout(route.per_try_timeout_ms / 1000)),)


def _retry(parts: Parts, route: Route) -> tuple[Layer, ...]:
    settings = parts.resilience.retry
    num_retries = settings.num_retries if route.num_retries is None else route.num_retries
    if not num_retries and route.hedge is None:
        return ()
    # Without retries it counts requests, of which hedges may be a share.
    retry = Retry(
        settings,
        parts.budget,
        clock=parts.clock,
        chance=parts.chance,
        telemetry=parts.telemetry,
        num_retries=num_retries,
        retry_on=route.retry_on,
    )
    reason = "Above the Router, so that the next attempt may go elsewhere: fail-over is a retry."
    return (Layer("retry", reason, retry, parts.observed.layer("retry")),)


def _cascade(parts: Parts, route: Route, edge: RouteEdgeModel | None) -> tuple[Layer, ...]:
    if route.cascade is None or edge is None:
        return ()
    model = Stack(
        innermost=Innermost(
            "edge model",
            "Beside the rest of the stack: the cascade runs it first.",
            edge.predictor,
            parts.observed.layer("edge_model"),
        )
    )
    cascade = Cascade(
        model.entry,
        {edge.model: edge.licence},
        on_central_down=route.cascade.on_central_down,
        region=parts.region,
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
    layer = Layer(
        "cascade",
        "Below the Cache, so that answers of both tiers are kept under one key; above Retry, because a "
        "confident edge answer needs no endpoint.",
        cascade,
        parts.observed.layer("cascade"),
        {"edge model": model},
    )
    return (layer,)
