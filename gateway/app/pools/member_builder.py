"""Makes the members of endpoints: each behind its own breaker, time limit and bulkhead."""

from __future__ import annotations

from collections.abc import Callable

from gateway.app.connector import Connector, MemberPlace
from gateway.app.endpoint_settings import breaker_settings, bulkhead_settings
from gateway.app.observe import Observed
from gateway.app.pools.drained import Drained
from gateway.app.pools.listing import Listed
from gateway.app.pools.load_meter import LoadMeter
from gateway.app.pools.member import MemberParts, MemberStacks, PoolMember
from gateway.app.pools.member_states import MemberStates
from gateway.app.refreshing import Refresher
from gateway.app.stacks import member_stack, mirror_stack
from gateway.core.clock import Chance, Clock
from gateway.core.telemetry import Telemetry
from gateway.upstreams.abilities import Abilities, Learner
from gateway.upstreams.answer_check import AnswerCheck
from gateway.upstreams.answer_configs import AnswerConfigs, Forget
from gateway.upstreams.endpoint_classes import EndpointClasses
from gateway.upstreams.upstream import Upstream
from resilience.attempt import AttemptTimeout
from resilience.breaker import Breaker
from resilience.bulkhead import Bulkhead
from resilience.endpoint_health import EndpointHealth
from resilience.settings import ResilienceSettings
from routing.policy import EDGE, Endpoint
from routing.pools.choosing import load_settings

IsLast = Callable[[str, str], bool]
"""Takes an endpoint and the label of a member: whether there are requests that nothing else can take now."""


class MemberBuilder:
    """Makes members; they connect at their first request."""

    def __init__(
        self,
        settings: ResilienceSettings,
        connector: Connector,
        *,
        clock: Clock,
        chance: Chance,
        telemetry: Telemetry,
        observed: Observed,
        states: MemberStates,
        drained: Drained,
        is_last: IsLast,
        forget: Forget,
    ) -> None:
        self._settings, self._connector, self._states, self._is_last = settings, connector, states, is_last
        self._drained, self._clock, self._chance = drained, clock, chance
        self._telemetry, self._observed, self._forget = telemetry, observed, forget

    def __repr__(self) -> str:
        return f"<MemberBuilder {self._connector!r}>"

    def build(self, endpoint: str, definition: Endpoint, listed: Listed) -> PoolMember:
        """Return a member of ``endpoint``."""
        return PoolMember(
            endpoint,
            listed,
            lambda member: self._parts(endpoint, definition, listed, member),
            drained=self._drained,
            clock=self._clock.tick,
            settings=load_settings(definition.load_balancing),
        )

    def _parts(self, endpoint: str, definition: Endpoint, listed: Listed, member: PoolMember) -> MemberParts:
        # What clients read names the endpoint; the log and operators see the member.
        upstream = self._connector.connect(
            endpoint, definition, MemberPlace(listed.address, listed.ip), member
        )
        health = self._health(endpoint, definition, upstream, member)
        # Another gateway would ask its own endpoints, this gateway among them.
        catalog = upstream if definition.tier != EDGE else None
        answer_check = AnswerCheck(endpoint, catalog, self._clock)
        configs = AnswerConfigs(endpoint, catalog, self._clock, self._forget)
        meter = LoadMeter(member)
        abilities = Abilities(upstream) if isinstance(upstream, Learner) else None
        classes = EndpointClasses(configs)
        breaker = Breaker(health)
        bulkhead = Bulkhead(bulkhead_settings(self._settings.bulkhead, definition), self._telemetry)
        attempt_timeout = self._attempt_timeout(definition)

        def stack() -> MemberStacks:
            service = member_stack(
                self._observed,
                upstream,
                meter=meter,
                breaker=breaker,
                bulkhead=bulkhead,
                attempt_timeout=attempt_timeout,
                answer_check=answer_check,
                classes=classes,
                abilities=abilities,
            )
            mirror = mirror_stack(
                self._observed, upstream, answer_check=answer_check, classes=classes, abilities=abilities
            )
            return MemberStacks(service, mirror)

        refresher = Refresher(upstream, upstream.refresh_s, self._clock)
        return MemberParts(stack, upstream, health, meter, refresher, answer_check, configs)

    def _attempt_timeout(self, definition: Endpoint) -> AttemptTimeout:
        own_ms = definition.attempt_timeout_ms
        if own_ms is None:
            return AttemptTimeout(self._settings.retry.per_try_timeout_ms / 1000, self._clock)
        return AttemptTimeout(own_ms / 1000, self._clock, most_s=own_ms / 1000)

    def _health(
        self, endpoint: str, definition: Endpoint, peer: Upstream, member: PoolMember
    ) -> EndpointHealth:
        label, is_sole = member.label, not definition.addresses
        states = self._states.of_member(endpoint, label, member.warm_up)
        return EndpointHealth(
            endpoint if is_sole else label,
            breaker_settings(self._settings.breaker, definition),
            peer=peer,
            is_last=lambda: self._is_last(endpoint, label),
            clock=self._clock,
            chance=self._chance,
            telemetry=self._telemetry if is_sole else states,
        )
