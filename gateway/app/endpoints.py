"""The endpoints that policies name: pools of members, each behind its own breaker, time limit and bulkhead.

Members outlive a policy reload: a breaker that has learned that its member is down stays open, and
connections stay warm, as long as the member is connected to in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from gateway.app.connector import Connector
from gateway.app.endpoint_set import EndpointSet
from gateway.app.endpoint_settings import breaker_settings
from gateway.app.observe import Observed
from gateway.app.parts import Parts
from gateway.app.pools.drained import Drained
from gateway.app.pools.index_watch import IndexWatch
from gateway.app.pools.listing import Listed, names_of
from gateway.app.pools.member import PoolMember
from gateway.app.pools.member_builder import MemberBuilder
from gateway.app.pools.member_states import MemberStates
from gateway.app.pools.model_holders import ModelHolders
from gateway.app.pools.pool import EndpointPool
from gateway.app.pools.pool_models import ModelChanges, PoolModels
from gateway.app.pools.resolution import LookUp, Resolution, look_up
from gateway.app.pools.retirement import Retirement
from gateway.app.pools.roster import Compare, Resolve, Roster
from gateway.app.pools.sequences import SequenceMembers
from gateway.config.settings import Settings
from gateway.core.clock import Clock
from gateway.core.offload import Here, Offload
from gateway.core.request import Request
from gateway.core.telemetry import BreakerAppeared, BreakerGone, Telemetry
from gateway.upstreams.answer_configs import Forget
from resilience.outlier_detector import OutlierDetector
from resilience.settings import ResilienceSettings
from routing.endpoint import LoadBalancing
from routing.placements import Placements
from routing.policy import EDGE, Endpoint, Policy
from routing.pools.choosing import chooser
from routing.pools.hash_key import HashKey, hash_key
from routing.rate import RateMeter
from routing.rules.order import Rivals, rivals

HASHES: Final = frozenset({"ring_hash", "maglev"})

RETIRE_EXTRA_S: Final = 5.0
"""Members that a policy dropped stay open this much longer than any request that it let in."""


async def keep_all(_model: str) -> None:
    """Forget nothing: there is no cache."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where in its region a gateway is, and how many of its ``workers`` share what endpoints can carry."""

    zone: str = ""
    workers: int = 1


class Endpoints:
    """Builds the endpoints of every generation, and closes members that no generation needs any more.

    It holds nothing in force: ``in_use`` returns the set that is (``InForce.endpoints``). ``drained``: what
    operators have taken out of service. ``forget`` forgets the answers of a model that an endpoint does not
    let be kept.
    """

    def __init__(
        self,
        settings: ResilienceSettings,
        clock: Clock,
        telemetry: Telemetry,
        observed: Observed,
        *,
        connector: Connector,
        in_use: Callable[[], EndpointSet],
        region: str = "",
        site: Site | None = None,
        look_up: LookUp = look_up,
        forget: Forget = keep_all,
    ) -> None:
        self._region, self._connector, self._settings = region, connector, settings
        self._clock, self._telemetry, self._in_use, self._look_up = clock, telemetry, in_use, look_up
        self._site, self._chance = site or Site(), connector.chance
        self._retirement = Retirement(clock)
        self.files = connector.files
        """What the endpoints need of this machine."""
        self._held_until = 0.0
        self.drained = Drained()
        self._placements = Placements()
        self._changes = ModelChanges()
        self._states = MemberStates(
            telemetry,
            lambda endpoint: self._in_use().state(endpoint),
            lambda endpoint: self._in_use().hurry(endpoint),
        )
        self._members = MemberBuilder(
            settings,
            connector,
            clock=clock,
            chance=self._chance,
            telemetry=telemetry,
            observed=observed,
            states=self._states,
            drained=self.drained,
            forget=forget,
            is_last=lambda endpoint, label: self._in_use().is_last_member(endpoint, label),
        )

    def __repr__(self) -> str:
        return f"<Endpoints {self._in_use()!r}, {self.num_retiring} retiring>"

    @property
    def num_retiring(self) -> int:
        """Members that are not in use any more and not yet closed."""
        return len(self._retirement)

    def prepare(self, policy: Policy, found: Rivals | None = None) -> EndpointSet:
        """Return the endpoints of ``policy``; those whose definition did not change are the ones in use.

        Of the others the members stay that are connected to as before. Nothing in force changes:
        ``after_swap`` is called once the set is in force, ``discard`` if it never is. ``found``: what
        ``rivals`` finds, which may take long; None: find it now.
        """
        known = self._in_use().by_name
        endpoints = {
            name: known[name]
            if name in known and known[name].definition == definition
            else self._build(name, definition, known.get(name))
            for name, definition in policy.endpoints.items()
        }
        return EndpointSet(
            endpoints,
            rivals(policy, self._region) if found is None else found,
            ModelHolders(endpoints, self._changes),
        )

    def discard(self, prepared: EndpointSet) -> None:
        """Close what ``prepare`` has opened for a policy that will not come into force."""
        for member in _without(prepared, self._in_use()):
            self._retirement.after(member, 0.0)

    def after_swap(self, old: EndpointSet, new: EndpointSet, *, longest_s: float) -> None:
        """Start to look after the endpoints of ``new``, which is in force; close what is gone, but later.

        ``longest_s``: the most seconds that a request which holds an endpoint of ``old`` can still take.
        """
        now = self._clock.now()
        # What is dropped now may be held by requests that ``old``, or a policy before it, has let in.
        self._held_until = max(self._held_until, now + longest_s)
        for name in old.by_name.keys() - new.by_name.keys():
            self._states.forget(name)
            self._telemetry.emit(BreakerGone(name))
        for name, pool in new.by_name.items():
            before = old.by_name.get(name)
            if before is not pool:
                self._begin(pool, before)
            if _has_index(pool.definition):
                pool.index_watch.start(has_rivals=any(new.rivals.get(name, ())))
        for name, pool in old.by_name.items():
            if new.by_name.get(name) is not pool:
                pool.roster.hold()
                self._retirement.close(pool.roster)
                self._retirement.close(pool.index_watch)
        for member in _without(old, new):
            self._retirement.after(member, self._held_until - now + RETIRE_EXTRA_S)

    async def aclose(self) -> None:
        """Close every connection now: of the endpoints in use and of members that are retiring."""
        await self._retirement.aclose()
        async with AsyncExitStack() as closing:
            for pool in self._in_use().by_name.values():
                closing.push_async_callback(pool.aclose)

    def _begin(self, pool: EndpointPool, before: EndpointPool | None) -> None:
        shared = before is not None and not set(map(id, before.members)).isdisjoint(map(id, pool.members))
        if not shared:
            # Also where the name is an old one: the breakers of the new members start closed.
            self._telemetry.emit(BreakerAppeared(pool.name))
        pool.roster.start(before.roster if before is not None else None)
        self._states.begin(pool.name, is_new=not shared)

    def _build(self, name: str, definition: Endpoint, before: EndpointPool | None) -> EndpointPool:
        is_kept = before is not None and _connection(before.definition) == _connection(definition)
        roster = Roster(
            definition,
            partial(self._member, name, definition),
            leave=partial(self._leave, name),
            resolve=self._resolve(definition),
            compare=self._compare(definition),
            before=before.roster if before is not None and is_kept else None,
        )
        return EndpointPool(
            name,
            definition,
            roster,
            chooser(definition.load_balancing, self._chance, self._site.zone),
            key_of=_key_of(definition),
            sequences=SequenceMembers(name, self._placements),
            drained=self.drained,
            models=PoolModels(definition.models, lambda: roster.members, self._changes),
            index_watch=IndexWatch(
                name,
                lambda: roster.members,
                clock=self._clock,
                chance=self._chance,
                changes=self._changes,
            ),
            rate=self._rate(definition),
        )

    def _member(self, endpoint: str, definition: Endpoint, listed: Listed) -> PoolMember:
        # Whatever is not known of it counts from now on.
        self._changes.note()
        return self._members.build(endpoint, definition, listed)

    def _rate(self, definition: Endpoint) -> RateMeter | None:
        """Return what measures this process's part of what an endpoint can carry."""
        capacity = definition.capacity_rps
        return None if capacity is None else RateMeter(capacity / self._site.workers, self._clock.tick)

    def _resolve(self, definition: Endpoint) -> Resolve:
        settings = self._connector.settings
        wire = {"http": settings.http, "h2": settings.h2, "grpc": settings.grpc}[definition.protocol]
        return partial(
            Resolution,
            names_of(definition),
            refresh_s=wire.dns_refresh_rate_s,
            timeout_s=wire.resolve_timeout_s,
            clock=self._clock,
            look_up=self._look_up,
        )

    def _compare(self, definition: Endpoint) -> Compare:
        settings = breaker_settings(self._settings.breaker, definition).outlier_detection
        return partial(OutlierDetector, settings, clock=self._clock, chance=self._chance)

    def _leave(self, endpoint: str, member: PoolMember) -> None:
        self._changes.note()
        self._states.leave(endpoint, member.label)
        self._retirement.when_idle(member)


def make_endpoints(
    settings: Settings,
    parts: Parts,
    in_use: Callable[[], EndpointSet],
    offload: Offload | None = None,
    *,
    forget: Forget = keep_all,
    workers: int = 1,
) -> Endpoints:
    """Return the endpoints of a process with ``settings``, one of ``workers``; ``in_use``: those in force."""
    return Endpoints(
        settings.resilience,
        parts.clock,
        parts.telemetry,
        parts.observed,
        connector=Connector(
            parts.clock,
            parts.chance,
            settings.upstreams,
            settings.listen.max_body_mib << 20,
            offload or Here(),
        ),
        in_use=in_use,
        region=settings.region,
        forget=forget,
        site=Site(settings.zone, workers),
    )


def _key_of(definition: Endpoint) -> HashKey:
    """Return what reads a hash's key; only a hash needs one, and reading it may take long."""
    balancing = definition.load_balancing
    return hash_key(balancing.hash_on) if balancing.policy in HASHES else _no_key


def _has_index(definition: Endpoint) -> bool:
    """Whether its members are asked what they hold. Another gateway would ask its own endpoints."""
    return not definition.models and definition.tier != EDGE


def _no_key(_request: Request) -> bytes | None:
    return None


def _connection(definition: Endpoint) -> Endpoint:
    """Return what of a definition a member's connections and limits are made of."""
    return msgspec.structs.replace(
        definition,
        address=definition.address if not definition.addresses else "",
        addresses=("",) if definition.addresses else (),
        load_balancing=LoadBalancing(),
        capacity_rps=None,
        models=(),
        labels={},
        drain=False,
    )


def _without(these: EndpointSet, others: EndpointSet) -> Iterator[PoolMember]:
    """Yield the members of ``these`` that are not the very same in ``others``."""
    known = {id(member) for pool in others.by_name.values() for member in pool.members}
    for pool in these.by_name.values():
        yield from (member for member in pool.members if id(member) not in known)
