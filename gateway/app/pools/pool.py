"""An endpoint as a pool: a service that chooses a member for each request, and what is known of them all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from operator import attrgetter
from typing import Any, Final

from gateway.app.pools.availability import AvailableMembers
from gateway.app.pools.drained import Drained
from gateway.app.pools.index_watch import IndexWatch
from gateway.app.pools.member import PoolMember
from gateway.app.pools.pool_catalog import PoolCatalog
from gateway.app.pools.pool_models import PoolModels
from gateway.app.pools.roster import Roster
from gateway.app.pools.sequences import SequenceMembers
from gateway.core.catalog import ModelSpec, RemoteCatalog
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.stack import LayerReport
from routing.endpoint import Endpoint
from routing.pools.hash_key import HashKey
from routing.pools.picking import Picker
from routing.rate import RateMeter

_SHOWN: Final = 64
"""Members whose stacks and states are shown; of the others there is the number."""

Usable = Callable[[PoolMember], bool]

_REASON: Final = "Below Retry and the Router: chooses one of the members at which the request has not failed."


class EndpointPool:
    """The members of one endpoint, of which each request meets one.

    A request goes to a member that is well, at which its model works, and at which it has not failed before;
    where there is none of these, the last of the conditions are dropped first. One that is out gets no
    request: checks of its health notice its return. Steps of one sequence go to one member.
    """

    def __init__(
        self,
        name: str,
        definition: Endpoint,
        roster: Roster,
        picker: Picker,
        *,
        key_of: HashKey,
        sequences: SequenceMembers,
        drained: Drained,
        models: PoolModels,
        index_watch: IndexWatch,
        rate: RateMeter | None = None,
    ) -> None:
        self.models, self.index_watch = models, index_watch
        self._rate = rate
        self.name, self.definition, self.roster = name, definition, roster
        self._picker, self._key_of, self._sequences, self._drained = picker, key_of, sequences, drained
        self._is_sole = not definition.addresses
        self._catalog = PoolCatalog(name, self._known_members)
        self._strength = AvailableMembers()

    def __repr__(self) -> str:
        if self._is_sole:
            return f"{self.members[0].parts.health!r}{self._drained_note}"
        up = sum(each.is_available for each in self.members)
        return (
            f"<EndpointPool {self.name} {up} of {len(self.members)} up, {self._picker!r}{self._drained_note}>"
        )

    @property
    def members(self) -> tuple[PoolMember, ...]:
        """Its members now."""
        return self.roster.members

    @property
    def is_drained(self) -> bool:
        """Whether it gets no new work as a whole, by its policy or by an operator."""
        return self.definition.drain or self.name in self._drained

    @property
    def is_available(self) -> bool:
        """Whether a request that comes now would be let through."""
        return not self.is_drained and (any(each.is_available for each in self.members) or self._may_appear)

    @property
    def is_well(self) -> bool:
        """Whether it can take over for others: one of its members is not out, not even for a trial."""
        return not self.is_drained and any(each.is_well for each in self.members)

    @property
    def strength(self) -> tuple[int, int]:
        """How many of its members are well, and how many there are."""
        members = self.members
        if self.is_drained:
            return 0, len(members)
        if not members:
            # Not known yet: who comes first waits for them.
            return int(self._may_appear), 1
        return self._strength.count(members), len(members)

    @property
    def has_undrained(self) -> bool:
        """Whether one of its members, well or not, may get new work as far as operators are concerned."""
        return not self.is_drained and any(each.is_undrained for each in self.members)

    @property
    def round_trip(self) -> tuple[float, float] | None:
        """The mean of what requests take at members that are available, and when that was measured last."""
        known = [each.measured for each in self.members if each.is_available]
        found = [each for each in known if each is not None]
        if not found:
            return None
        return sum(latency for latency, _ in found) / len(found), max(at for _, at in found)

    @property
    def can_continue(self) -> bool:
        """Whether it takes further steps of what began there."""
        return any(each.is_up for each in self.members)

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``: that of the member that is best off."""
        members = self.members
        if not members:
            return "closed" if self._may_appear else "open"
        found = "open"
        for each in members:
            state = each.parts.health.state
            if state == "closed":
                # There may be a thousand, and most are well.
                return state
            if state == "half_open":
                found = state
        return found

    @property
    def why(self) -> str:
        """Why it is out, in words that a client may read; empty where it is not, or that is not known."""
        if self.is_drained:
            return "it is drained"
        whys = [each.parts.health.why for each in self.members]
        if whys:
            return next((str(why) for why in whys if why), "it is drained" if self._all_drained else "")
        return self.roster.resolution.problem

    @property
    def catalog(self) -> RemoteCatalog:
        """What its members tell of models."""
        return self.members[0].parts.upstream if self._is_sole else self._catalog

    def is_preferred(self, model: str) -> bool:
        """Whether it is available, and ``model`` works at one of its members, as far as is known."""
        if self.is_drained:
            return False
        return any(each.is_preferred(model) for each in self.members) or self._may_appear

    def has_untried(self, tried: Collection[str], model: str = "", version: str = "") -> bool:
        """Whether a member that is not among ``tried``, and may hold ``model``, would let a request through.

        ``model`` empty: any.
        """
        if self.is_drained:
            return False
        untried = (each for each in self.members if each.is_available and each.label not in tried)
        if not model or not self.models.are_different:
            return any(True for _ in untried)
        return any(self.models.may_hold(each, model, version) for each in untried)

    def has_other_well(self, label: str) -> bool:
        """Whether another member than ``label`` could take its requests."""
        return not self.is_drained and any(each.label != label and each.is_well for each in self.members)

    def can_answer(self, model: str, version: str) -> bool:
        """Whether a member that is available is not known to lack a model."""
        may_hold = self.models.may_hold
        return self._may_appear or any(
            each.is_available and may_hold(each, model, version) for each in self.members
        )

    @property
    def is_full(self) -> bool:
        """Whether this process sends it all that its capacity allows."""
        return self._rate is not None and self._rate.is_full

    def signature(self, model: str, version: str) -> ModelSpec | None:
        """Return what is known of a model; ask one member where nothing is."""
        members = self.members
        knowing = next((each for each in members if each.parts.answer_check.knows(model, version)), None)
        asked = knowing or next((each for each in members if each.is_up), None)
        return asked.parts.answer_check.signature(model, version) if asked is not None else None

    def is_first_question(self, model: str, version: str) -> bool:
        """Whether a member is being asked about a model, and none has been before."""
        return any(each.parts.answer_check.is_first_question(model, version) for each in self.members)

    def forbids_keeping(self, model: str) -> bool:
        """Whether one of its members is known to have answers of ``model`` not kept."""
        return any(not each.parts.answer_configs.known(model).may_be_kept for each in self.members)

    def lets_keep(self, model: str) -> bool:
        """Whether none is, as far as is known; where nothing is, a member is asked, and nobody waits."""
        asked = next((each for each in self.members if each.is_up), None)
        learned = asked is None or asked.parts.answer_configs.learn(model).may_be_kept
        return learned and not self.forbids_keeping(model)

    def has_configuration(self, model: str) -> bool:
        """Whether one of its members has said what it has configured for ``model``."""
        return any(each.parts.answer_configs.is_heard(model) for each in self.members)

    async def __call__(self, request: Request) -> Response:
        """Answer as the chosen member does.

        Raises:
            GatewayError: the member's, with its name; UNAVAILABLE where there is none.
        """
        if not self.members:
            await self.roster.resolution.first()
        chosen = self._choose(request)
        if request.chosen is not None:
            request.chosen.append(chosen.label)
        if self._rate is not None:
            self._rate.count()
        try:
            return await chosen.stacks.service.entry(request)
        except GatewayError as error:
            if error.fault is Fault.NOT_FOUND and self._is_contradicted(chosen, request):
                # Nothing was done there, and another may hold it: the Router knows.
                raise error.replaced(member=chosen.label, retryable=True) from error
            raise error.replaced(member=chosen.label) from error

    async def mirror(self, request: Request) -> Response:
        """Answer a copy of a request as the chosen member does; what happens is held against nobody.

        Raises:
            GatewayError: as the call does.
        """
        if not self.members:
            await self.roster.resolution.first()
        return await self._choose(request).stacks.mirror.entry(request)

    async def aclose(self) -> None:
        """Close all members, and look up no more."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.roster.aclose)
            closing.push_async_callback(self.index_watch.aclose)
            for each in self.members:
                closing.push_async_callback(each.aclose)

    def layers(self) -> tuple[LayerReport, ...]:
        """Describe it for operators: the stack of its one member, or how it chooses and those of all."""
        members = self.members
        if self._is_sole:
            return members[0].stacks.service.report()
        branches = {each.name: each.stacks.service.report() for each in members[:_SHOWN]}
        return (LayerReport("pool", repr(self), _REASON, branches=branches),)

    def report(self) -> Mapping[str, Any]:
        """Return whether it is out and why, for operators."""
        drained = {**({"drained": True} if self.is_drained else {}), **self.models.report()}
        if self._is_sole:
            sole = self.members[0]
            return {**sole.parts.health.report(), **sole.models_report(), **drained}
        problem = {"problem": problem} if (problem := self.roster.resolution.problem) else {}
        members = {each.name: each.report() for each in self.members[:_SHOWN]}
        return {
            "state": self.state,
            **drained,
            **problem,
            "num_members": len(self.members),
            "members": members,
        }

    def _choose(self, request: Request) -> PoolMember:
        members = self.members
        if SEQUENCE in request.parameters and not self._is_sole:
            return self._of_sequence(request)
        if self._is_sole:
            # Its breaker refuses by itself, and says why.
            return members[0]
        key, pick = self._key_of(request), self._picker.pick
        conditions = _conditions(request)
        if self.models.are_different:
            conditions = (*map(self._holding(request), conditions), *conditions)
        for is_usable in conditions:
            found = pick(members, is_usable, key)
            if found is not None:
                return found
        raise self._none_available()

    def _holding(self, request: Request) -> Callable[[Usable], Usable]:
        """Return what adds to a condition that a member may hold the model of ``request``."""
        may_hold, model, version = self.models.may_hold, request.model, request.version
        return lambda is_usable: lambda each: is_usable(each) and may_hold(each, model, version)

    def _is_contradicted(self, member: PoolMember, request: Request) -> bool:
        """Whether a member lacks what its index says it holds. What a step lacks may be its sequence."""
        if SEQUENCE in request.parameters:
            return False
        return self.index_watch.contradicted(member, request.model, request.version)

    def _of_sequence(self, request: Request) -> PoolMember:
        found, is_lost = self._sequences.member(request, self.members)
        if found is None:
            raise self._lost() if is_lost else self._none_available()
        return found

    def _none_available(self) -> GatewayError:
        why = self.why
        because = f" ({why})" if why else ""
        known = next((each.parts.health.why for each in self.members if each.parts.health.why), None)
        return GatewayError(
            Fault.UNAVAILABLE,
            f"endpoint '{self.name}' is unavailable: none of its members can be used{because}",
            retryable=True,
            unsent=True,
            why=known or (None if self.members else Why("unresolved")),
        )

    def _lost(self) -> GatewayError:
        return GatewayError(
            Fault.UNAVAILABLE,
            f"the member of endpoint '{self.name}' that has the state of this sequence is not available: "
            "begin the sequence anew, with sequence_start",
            unsent=True,
        )

    async def _known_members(self) -> Sequence[PoolMember]:
        if not self.members:
            await self.roster.resolution.first()
        return self.members

    @property
    def _may_appear(self) -> bool:
        """Whether its members are not known yet: who comes first waits for them."""
        return not self.members and not self.roster.resolution.problem

    @property
    def _all_drained(self) -> bool:
        return all(each.is_drained for each in self.members)

    @property
    def _drained_note(self) -> str:
        return ", drained" if self.is_drained else ""


def _conditions(request: Request) -> tuple[Usable, ...]:
    """Return what a member must be to get a request, the most wanted first."""
    model, tried = request.model, request.tried

    def is_preferred(each: PoolMember) -> bool:
        return each.is_preferred(model)

    if request.panic:
        return lambda each: each.label not in tried and each.is_undrained, _is_undrained
    if not tried:
        return is_preferred, _is_available
    return (
        lambda each: each.label not in tried and each.is_preferred(model),
        lambda each: each.label not in tried and each.is_available,
        is_preferred,
        _is_available,
    )


_is_available: Final[Usable] = attrgetter("is_available")
_is_undrained: Final[Usable] = attrgetter("is_undrained")
