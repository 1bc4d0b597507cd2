"""One policy generation: its stacks, one per route, built once and then only called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from gateway.app.edge_tier import Models
from gateway.app.endpoints import Endpoints, Guarded, Health
from gateway.app.stack_report import StacksReport, report_stacks
from gateway.app.stacks import CacheParts, EdgeTier, Parts, longest_s, route_stack, shared_stack
from gateway.core.catalog import unknown_model
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Pending, Service
from gateway.core.stack import Stack
from routing.matching import Routes
from routing.policy import Policy
from routing.residency import Locate

RETIRE_EXTRA_S: Final = 5.0
"""Endpoints that a policy dropped stay open this much longer than any request that it let in."""


class Dispatch:
    """The Service that hands a request to the stack of its route.

    It stands below Admission, because a route is chosen by model and by the *checked* tenant.
    """

    def __init__(self, policy: Policy, stacks: Mapping[str, Stack]) -> None:
        self._routes = Routes(policy)
        self._stacks = dict(stacks)
        self._entries = {name: stack.entry for name, stack in stacks.items()}

    def __repr__(self) -> str:
        return f"<Dispatch {', '.join(self._stacks) or 'no routes'}>"

    def __call__(self, request: Request) -> Response | Pending:
        """Answer by the route's stack.

        Raises:
            GatewayError: NOT_FOUND when no route takes this model from this tenant.
        """
        route = self._routes.find(request.model, request.caller.tenant)
        if route is None:
            raise unknown_model(request.model)
        return self._entries[route.name](request)

    def fast_path(self, like: Request) -> FastPath | None:
        """Return the path of the route's stack; a route is chosen by nothing that data could change."""
        route = self._routes.find(like.model, like.caller.tenant)
        return None if route is None else self._stacks[route.name].fast_path(like)


class PolicyGeneration:
    """A policy in force, or about to be: the stack that all routes share, those of routes and endpoints."""

    def __init__(
        self,
        number: int,
        stack: Stack,
        *,
        routes: Mapping[str, Stack] = MappingProxyType({}),
        endpoints: Mapping[str, Stack] = MappingProxyType({}),
        commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._number, self._stack, self._commit = number, stack, commit
        self._routes, self._endpoints = routes, endpoints
        self._service = stack.entry

    def __repr__(self) -> str:
        return f"<PolicyGeneration {self._number}>"

    @property
    def number(self) -> int:
        """The generation's number."""
        return self._number

    def report(self) -> StacksReport:
        """Describe the stacks as they are now."""
        return report_stacks(self._number, self._stack, self._routes, self._endpoints)

    def commit(self) -> None:
        """Take the endpoints of this generation into use."""
        self._commit()

    def __call__(self, request: Request) -> Response | Pending:
        """Answer by the stacks of this generation."""
        return self._service(request)

    def fast_path(self, like: Request) -> FastPath | None:
        """Return the path of requests like this one through these stacks."""
        return self._stack.fast_path(like)


class Builder:
    """Makes generations of the parts that outlive them."""

    def __init__(
        self,
        parts: Parts,
        endpoints: Endpoints,
        models: Models | None,
        locate: Locate,
        cache: CacheParts | None,
    ) -> None:
        self._parts, self._endpoints, self._models = parts, endpoints, models
        self._locate, self._cache = locate, cache
        self._in_force: Policy | None = None
        self._held_until = 0.0

    def __repr__(self) -> str:
        number = self._in_force.generation if self._in_force else "none"
        return f"<Builder {self._parts.region}, generation {number} in force>"

    def in_force(self) -> Policy:
        """Return the policy that was committed last."""
        assert self._in_force is not None, "a gateway listens only once it has a policy"
        return self._in_force

    def __call__(self, policy: Policy) -> PolicyGeneration:
        """Build the stacks of ``policy``; nothing in force changes before ``commit``."""
        parts = self._parts
        assert parts.region in policy.regions, "load_policy has checked it"
        if self._models is not None:
            self._models.read_certificates()
        tiers = {route.name: self._models.tier(route) for route in policy.routes} if self._models else {}
        edges = {name: tier for name, tier in tiers.items() if tier is not None}
        guarded = self._endpoints.prepare(policy)
        try:
            stacks = self._stacks(policy, guarded, edges)
        except BaseException:
            self._endpoints.discard(guarded)
            raise

        def commit() -> None:
            old, now = self._in_force or policy, parts.clock.now()
            # What is dropped now is held by requests that this policy, or one before it, has let in.
            longest = max(longest_s(parts, route) for route in old.routes)
            self._held_until = max(self._held_until, now + longest)
            self._endpoints.commit(guarded, self._held_until - now + RETIRE_EXTRA_S, policy=policy)
            self._in_force = policy
            if self._models is not None:
                self._models.use(edges)

        return PolicyGeneration(
            policy.generation,
            shared_stack(parts, policy, Dispatch(policy, stacks)),
            routes=stacks,
            endpoints={name: endpoint.service for name, endpoint in guarded.items()},
            commit=commit,
        )

    def _stacks(
        self, policy: Policy, guarded: Mapping[str, Guarded], edges: Mapping[str, EdgeTier]
    ) -> Mapping[str, Stack]:
        endpoints = {name: endpoint.service.entry for name, endpoint in guarded.items()}
        # Of its own: requests under way go on to endpoints that a newer policy does not name any more.
        view = Health(guarded)
        return {
            route.name: route_stack(
                self._parts,
                policy,
                route,
                locate=self._locate,
                endpoints=endpoints,
                view=view,
                cache=self._cache,
                edge=edges.get(route.name),
            )
            for route in policy.routes
        }


_: type[Service] = Dispatch
