"""The endpoints of one policy generation, as a value: their pools, their health, who can replace whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.app.pools.model_holders import NOTHING_KNOWN, ModelHolders
from gateway.app.pools.pool import EndpointPool
from gateway.core.catalog import ModelSpec, RemoteCatalog
from gateway.core.request import CENTRAL, Request, Response
from routing.rules.order import Rivals


@dataclass(frozen=True, slots=True, repr=False)
class EndpointSet:
    """The endpoints of one generation by name, and the Router's view of them.

    A request keeps the set with which it began: it may still go to endpoints that a newer policy does not
    name any more. ``rivals``: name → for each kind of request that may go there, the other endpoints that
    could take it (``routing.rules.order.rivals``). ``models``: who holds which.
    """

    by_name: Mapping[str, EndpointPool]
    rivals: Rivals
    models: ModelHolders = NOTHING_KNOWN

    def __repr__(self) -> str:
        states = ", ".join(f"{name} {pool!r}" for name, pool in self.by_name.items())
        return f"<EndpointSet {states or 'empty'}>"

    def is_available(self, endpoint: str) -> bool:
        """Whether one of the endpoint's members lets new requests through now."""
        pool = self.by_name.get(endpoint)
        return pool is not None and pool.is_available

    def is_preferred(self, endpoint: str, model: str) -> bool:
        """Whether it is available, and nothing is known against ``model`` at one of its members."""
        pool = self.by_name.get(endpoint)
        return pool is not None and pool.is_preferred(model)

    def has_untried(self, endpoint: str, tried: Collection[str], model: str = "", version: str = "") -> bool:
        """Whether one of its members that would let a request through is not among ``tried``.

        Where its members hold different models it is one that may hold ``model``.
        """
        pool = self.by_name.get(endpoint)
        return pool is not None and pool.has_untried(tried, model, version)

    def can_continue(self, endpoint: str) -> bool:
        """Whether it takes further steps of what began there: also while it gets no new work."""
        pool = self.by_name.get(endpoint)
        return pool is not None and pool.can_continue

    def strength(self, endpoint: str) -> tuple[int, int]:
        """Return how many of its members are well, and how many there are."""
        pool = self.by_name.get(endpoint)
        return pool.strength if pool is not None else (0, 0)

    def round_trip(self, endpoint: str) -> tuple[float, float] | None:
        """Return the peak-EWMA of its latency, and when it was measured last; None: never."""
        pool = self.by_name.get(endpoint)
        return pool.round_trip if pool is not None else None

    def why(self, endpoint: str) -> str:
        """Return why the endpoint is out, in words that a client may read."""
        pool = self.by_name.get(endpoint)
        return pool.why if pool is not None else ""

    def lacking(self, model: str, version: str) -> frozenset[str]:
        """Return the endpoints of which no member that could answer may hold a model, as far as is known."""
        return self.models.lacking(model, version)

    def holds(self, endpoint: str, model: str, version: str) -> bool:
        """Whether one of its members is known to hold a model."""
        pool = self.by_name.get(endpoint)
        return pool is not None and pool.models.holds(model, version)

    def is_full(self, endpoint: str) -> bool:
        """Whether it gets from this process as much as its capacity allows."""
        pool = self.by_name.get(endpoint)
        return pool is not None and pool.is_full

    def state(self, endpoint: str) -> str:
        """Return the state of the endpoint's breakers: that of the member that is best off."""
        pool = self.by_name.get(endpoint)
        return pool.state if pool is not None else "closed"

    def hurry(self, endpoint: str) -> None:
        """Look up the names of an endpoint soon: one of its members has failed."""
        if (pool := self.by_name.get(endpoint)) is not None:
            pool.roster.resolution.hurry()

    def is_last(self, name: str) -> bool:
        """Whether there are requests that no other endpoint can take now."""
        sets = self.rivals.get(name)
        return sets is None or any(not any(map(self._is_well, others)) for others in sets)

    def is_last_member(self, name: str, label: str) -> bool:
        """Whether there are requests that no other member of it, and no other endpoint, can take now."""
        pool = self.by_name.get(name)
        return (pool is None or not pool.has_other_well(label)) and self.is_last(name)

    def catalog(self, name: str) -> RemoteCatalog | None:
        """Return what the endpoint knows of models; None when it is not in the set."""
        pool = self.by_name.get(name)
        return pool.catalog if pool else None

    def signatures(self, names: Iterable[str], model: str, version: str) -> list[ModelSpec] | None:
        """Return what the endpoints ``names`` say of a model; None: nothing yet, one has just been asked."""
        found, is_asked = [], False
        for name in names:
            pool = self.by_name.get(name)
            if pool is None:
                continue
            spec = pool.signature(model, version)
            if spec is not None:
                found.append(spec)
            else:
                is_asked = is_asked or pool.is_first_question(model, version)
        return None if is_asked and not found else found

    def forbid_keeping(self, names: Iterable[str], model: str) -> bool:
        """Whether one of the endpoints ``names`` is known to have answers of the model not kept."""
        pools = map(self.by_name.get, names)
        return any(pool is not None and pool.forbids_keeping(model) for pool in pools)

    def let_keep(self, names: Iterable[str], request: Request, response: Response) -> bool:
        """Whether none does, as far as is known.

        Where nothing is, they are asked, and nobody waits. They are not asked about a model of which the
        edge alone answers.
        """
        if response.provenance.origin != CENTRAL:
            return not self.forbid_keeping(names, request.model)
        pools = [self.by_name[name] for name in names if name in self.by_name]
        # Each of them is asked, whatever the others say.
        answers = [pool.lets_keep(request.model) for pool in pools]
        # Whether classes have labels is not known before. Who has kept an answer elsewhere knew it.
        is_certain = not request.classes or bool(response.provenance.level)
        is_heard = is_certain or any(pool.has_configuration(request.model) for pool in pools)
        return is_heard and all(answers)

    def report(self) -> Mapping[str, Any]:
        """Return, for each endpoint, whether it is out and why."""
        return {name: pool.report() for name, pool in self.by_name.items()}

    def _is_well(self, name: str) -> bool:
        pool = self.by_name.get(name)
        return pool is not None and pool.is_well


NO_ENDPOINTS: Final = EndpointSet({}, {})
