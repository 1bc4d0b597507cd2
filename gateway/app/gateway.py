"""Assembly of a whole process: the tier of its role, the operator's port, and the listeners before it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from gateway.admin.cache_routes import cache_routes
from gateway.admin.endpoint_routes import endpoint_routes
from gateway.admin.listener import AdminListener
from gateway.admin.management_routes import management_routes
from gateway.admin.stack_routes import stack_routes
from gateway.app.admin_port import operator_tokens
from gateway.app.central import open_central
from gateway.app.descriptors import Descriptors
from gateway.app.edge import open_edge
from gateway.app.foundation import Foundation, open_foundation
from gateway.app.generation import Generation
from gateway.app.own_load import OwnLoad
from gateway.app.servers import Opener, Servers
from gateway.app.stack_report import StacksReport
from gateway.app.tier import Tier
from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.member import Member
from gateway.app.workers.messages import count_routes
from gateway.config.settings import ListenSettings, Settings
from gateway.core.catalog import IndexEntry
from gateway.core.clock import Clock
from gateway.core.operator import OperatorTokens
from gateway.core.request import CENTRAL
from gateway.http.request_ids import RequestIds, no_id
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.oip.extensions import Extensions
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.prometheus import Prometheus
from gateway.wire.travelling import TravellingHeaders
from gateway.wire.trust import Trust
from resilience.drain import Drain

_LOG: Final = logging.getLogger("edgeway")


@dataclass(frozen=True, slots=True, repr=False)
class Gateway:
    """An open gateway that serves.

    ``extensions``: what its listeners offer beside inference (models, statistics, log and trace settings).
    """

    foundation: Foundation
    tier: Tier
    servers: Servers
    extensions: Extensions

    def __repr__(self) -> str:
        settings = self.foundation.settings
        return f"<Gateway {settings.role} {settings.region} {self.drain!r}, {self.servers!r}>"

    @property
    def clock(self) -> Clock:
        """Return the clock of this process."""
        return self.foundation.clock

    @property
    def drain(self) -> Drain:
        """Return what counts the requests under way."""
        return self.foundation.drain

    @property
    def prometheus(self) -> Prometheus:
        """Return the metrics of this process."""
        return self.foundation.prometheus

    def generation(self) -> Generation:
        """Return the generation in force."""
        return self.foundation.in_force.current()

    def health(self) -> Mapping[str, Any]:
        """Return the health report of the admin port."""
        return health(self.foundation, self.tier)

    async def reload(self) -> None:
        """Take policy, models' certificates and TLS certificates as they are on disk now, or none of them."""
        await self.tier.reload()


async def open_gateway(
    settings: Settings,
    inheritance: Inheritance | None,
    lifetimes: AsyncExitStack,
    descriptors: Descriptors | None = None,
) -> Gateway:
    """Open everything. What is opened last is closed first: listeners, then everything below them.

    ``descriptors``: the open files that this process may have; None: they are not counted.

    Raises:
        StartError, ModelError, GeoError, ConfigError, GatewayError: names what cannot be used.
    """
    foundation = open_foundation(settings, lifetimes, inheritance)
    open_tier = open_central if settings.role == CENTRAL else open_edge
    tier = await open_tier(foundation, lifetimes)
    opener = Opener(settings.listen, foundation.clock, lifetimes, foundation.tls, inheritance, descriptors)
    own = Extensions(
        repository=tier.repository,
        statistics=foundation.statistics,
        logging=LogSettings(),
        tracing=foundation.tracing,
        settings=settings.listen.protocol,
        operator=_operator(settings.listen),
    )
    admin = await opener.open_admin(_admin(foundation, tier, own, is_worker=inheritance is not None))
    extensions = (
        await _join(foundation, tier, own, inheritance, lifetimes) if inheritance is not None else own
    )
    servers = await opener.open_servers(_data_plane(foundation, tier), extensions, admin)
    # Pushed last, so it runs first: nothing is closed before what was accepted is finished.
    lifetimes.push_async_callback(
        servers.stop, foundation.drain.finished, settings.resilience.drain.drain_timeout_s
    )
    foundation.complete.set()
    return Gateway(foundation, tier, servers, extensions)


def _operator(listen: ListenSettings) -> OperatorTokens:
    """Return the tokens that are taken on the ports for clients."""
    if not listen.protocol.admin_calls:
        return OperatorTokens()
    tokens = operator_tokens(listen.admin_access)
    if not tokens:
        _LOG.warning(
            "listen.protocol.admin_calls: nobody may make such a call without a token;"
            " set listen.admin_access.tokens_sha256 or .token_file"
        )
    return tokens


def health(foundation: Foundation, tier: Tier) -> Mapping[str, Any]:
    """Return the health report: whether the process is ready, and what it believes of what it depends on."""
    return {
        "ready": foundation.is_ready(),
        "role": foundation.settings.role,
        "region": foundation.settings.region,
        "policy": tier.policy_report(),
        **{section: report() for section, report in tier.health.items()},
    }


def _data_plane(foundation: Foundation, tier: Tier) -> DataPlane:
    settings = foundation.settings
    return DataPlane(
        region=settings.region,
        generation=foundation.in_force.current,
        catalogs=tier.catalogs,
        is_ready=foundation.is_ready,
        trust=Trust(
            settings.trusted_proxies,
            settings.trusted_gateways,
            forwards_from_all=settings.role == CENTRAL,
        ),
        clock=foundation.clock,
        telemetry=foundation.prometheus,
        max_body_bytes=settings.listen.max_body_mib << 20,
        is_full=foundation.seats.are_taken,
        retry_after_s=settings.resilience.admission.retry_after_s,
        offload=foundation.offload,
        travelling=TravellingHeaders(settings.telemetry.propagators, settings.upstreams.forward_headers),
        load=OwnLoad(foundation.seats, foundation.clock),
        make_request_id=RequestIds().make if settings.listen.transport.generate_request_id else no_id,
    )


def _admin(foundation: Foundation, tier: Tier, own: Extensions, *, is_worker: bool) -> AdminListener:
    """Return the operator's port of this process alone; a worker's parent reads its counts there, too."""

    async def report_health() -> Mapping[str, Any]:
        return health(foundation, tier)

    async def report_policy() -> Mapping[str, Any]:
        return tier.policy_report()

    async def metrics() -> bytes:
        return foundation.prometheus.render()

    async def index() -> Sequence[IndexEntry]:
        return own.repository.index()

    async def stacks() -> StacksReport:
        return await foundation.in_force.current().report()

    routes: list[web.RouteDef] = count_routes(own.statistics) if is_worker else []
    routes += management_routes(own.repository, own.logging, own.tracing, index=index)
    routes += [*stack_routes(stacks), *endpoint_routes(tier.endpoints), *cache_routes(tier.cache)]
    return AdminListener(health=report_health, metrics=metrics, policy=report_policy, more=routes)


async def _join(
    foundation: Foundation,
    tier: Tier,
    own: Extensions,
    inheritance: Inheritance,
    lifetimes: AsyncExitStack,
) -> Extensions:
    """Return what this process offers as one of several workers."""
    member = Member(
        Path(inheritance.parent),
        inheritance.serial,
        statistics=foundation.statistics,
        repository=own.repository,
        log=own.logging,
        tracing=own.tracing,
        keep_drained=tier.endpoints.keep,
    )
    # Once the listeners, which are opened after this, are closed, nothing more is counted.
    lifetimes.push_async_callback(member.leave_counts)
    # The admin socket is open, so later changes arrive by themselves; earlier ones must be made before
    # anybody is served.
    await member.catch_up()
    return replace(own, repository=member, statistics=member, logging=member, tracing=member.tracing)
