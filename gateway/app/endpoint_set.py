"""The endpoints of one policy generation, as a value: their stacks, their health, who can replace whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from gateway.app.refreshing import Refresher
from gateway.core.catalog import ModelSpec, RemoteCatalog
from gateway.core.request import CENTRAL, Request, Response
from gateway.core.stack import Stack
from gateway.upstreams.answer_check import AnswerCheck
from gateway.upstreams.answer_configs import AnswerConfigs
from gateway.upstreams.upstream import Upstream
from resilience.endpoint_health import EndpointHealth
from routing.policy import Endpoint
from routing.rules.order import Rivals


@dataclass(frozen=True, slots=True)
class Guarded:
    """One endpoint: ``service`` is its whole stack, ``catalog`` queries the metadata of its models."""

    definition: Endpoint
    service: Stack
    catalog: RemoteCatalog
    health: EndpointHealth
    refresher: Refresher
    upstream: Upstream
    answer_check: AnswerCheck
    answer_configs: AnswerConfigs

    async def aclose(self) -> None:
        """End what runs beside the requests, and close the connections."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.upstream.aclose)
            closing.push_async_callback(self.refresher.aclose)
            closing.push_async_callback(self.health.aclose)
            closing.push_async_callback(self.answer_check.aclose)
            closing.push_async_callback(self.answer_configs.aclose)


@dataclass(frozen=True, slots=True, repr=False)
class EndpointSet:
    """The endpoints of one generation by name, and the Router's view of them.

    A request keeps the set with which it began: it may still go to endpoints that a newer policy does not
    name any more. ``rivals``: name → for each kind of request that may go there, the other endpoints that
    could take it (``routing.rules.order.rivals``).
    """

    by_name: Mapping[str, Guarded]
    rivals: Rivals

    def __repr__(self) -> str:
        states = ", ".join(f"{name} {guarded.health!r}" for name, guarded in self.by_name.items())
        return f"<EndpointSet {states or 'empty'}>"

    def is_available(self, endpoint: str) -> bool:
        """Whether the endpoint's breaker lets requests through now."""
        guarded = self.by_name.get(endpoint)
        return guarded is not None and guarded.health.is_available

    def is_preferred(self, endpoint: str, model: str) -> bool:
        """Whether it is available, and nothing is known against ``model`` there."""
        guarded = self.by_name.get(endpoint)
        return guarded is not None and guarded.health.is_preferred(model)

    def why(self, endpoint: str) -> str:
        """Return why the endpoint is out, in words that a client may read."""
        guarded = self.by_name.get(endpoint)
        return str(guarded.health.why) if guarded is not None and guarded.health.why else ""

    def is_last(self, name: str) -> bool:
        """Whether there are requests that no other endpoint can take now."""
        sets = self.rivals.get(name)
        return sets is None or any(not any(map(self._is_well, others)) for others in sets)

    def catalog(self, name: str) -> RemoteCatalog | None:
        """Return what the endpoint knows of models; None when it is not in the set."""
        guarded = self.by_name.get(name)
        return guarded.catalog if guarded else None

    def signatures(self, names: Iterable[str], model: str, version: str) -> list[ModelSpec] | None:
        """Return what the endpoints ``names`` say of a model; None: nothing yet, one has just been asked."""
        found, is_asked = [], False
        for name in names:
            guarded = self.by_name.get(name)
            if guarded is None:
                continue
            spec = guarded.answer_check.signature(model, version)
            if spec is not None:
                found.append(spec)
            else:
                is_asked = is_asked or guarded.answer_check.is_first_question(model, version)
        return None if is_asked and not found else found

    def forbid_keeping(self, names: Iterable[str], model: str) -> bool:
        """Whether one of the endpoints ``names`` is known to have answers of the model not kept."""
        return any(
            guarded is not None and not guarded.answer_configs.known(model).may_be_kept
            for guarded in map(self.by_name.get, names)
        )

    def let_keep(self, names: Iterable[str], request: Request, response: Response) -> bool:
        """Whether none does, as far as is known.

        Where nothing is, they are asked, and nobody waits. They are not asked about a model of which the
        edge alone answers.
        """
        if response.provenance.origin != CENTRAL:
            return not self.forbid_keeping(names, request.model)
        known = [self.by_name[name].answer_configs for name in names if name in self.by_name]
        # Each of them is asked, whatever the others say.
        answers = [configs.learn(request.model) for configs in known]
        # Whether classes have labels is not known before. Who has kept an answer elsewhere knew it.
        is_certain = not request.classes or bool(response.provenance.level)
        is_heard = is_certain or any(configs.is_heard(request.model) for configs in known)
        return is_heard and all(each.may_be_kept for each in answers)

    def report(self) -> Mapping[str, Any]:
        """Return, for each endpoint, whether it is out and why."""
        return {name: guarded.health.report() for name, guarded in self.by_name.items()}

    def _is_well(self, name: str) -> bool:
        guarded = self.by_name.get(name)
        return guarded is not None and guarded.health.is_well


NO_ENDPOINTS: Final = EndpointSet({}, {})
