"""COMPOSITION ROOT: settings become objects, objects become stacks, stacks go behind listeners.

The one AsyncExitStack here owns every lifetime: what was opened last is closed first, whatever fails.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from cache.levels.level import LevelError, LevelParts
from edge_models.errors import ModelError
from edge_models.repository import ModelRepository
from gateway.admin.management_routes import management_routes
from gateway.admin.stack_routes import stack_routes
from gateway.app.catalogs import EdgeCatalog
from gateway.app.edge_tier import Models
from gateway.app.endpoints import Endpoints
from gateway.app.errors import StartError
from gateway.app.generation import Builder, PolicyGeneration
from gateway.app.observe import Observed
from gateway.app.policies import Policies
from gateway.app.servers import Servers
from gateway.app.stack_report import StacksReport
from gateway.app.stacks import CacheParts, Parts, central_stack, shared_stack
from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.member import Member
from gateway.app.workers.messages import count_routes
from gateway.config.settings import Settings
from gateway.core.catalog import Catalog
from gateway.core.clock import LoopClock
from gateway.core.errors import GatewayError
from gateway.core.gate import Gate
from gateway.core.repository import IndexEntry
from gateway.core.request import CENTRAL, EDGE
from gateway.core.service import Generation
from gateway.core.telemetry import BreakerAppeared
from gateway.listeners.oip.data_plane import DataPlane
from gateway.listeners.oip.extensions import Extensions, NoRepository
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.prometheus import Prometheus
from gateway.telemetry.requests import Requests
from gateway.telemetry.runs import Runs
from gateway.telemetry.statistics import Tallies
from gateway.telemetry.trace_settings import TraceSettings
from gateway.telemetry.tracing import Sampling, tracer_provider
from gateway.wire.trust import Trust
from resilience.admission import Seats
from resilience.budget import RetryBudget
from resilience.circuit import Circuit
from resilience.drain import Drain
from resilience.settings import BreakerSettings
from routing.geo import GeoError, Places
from routing.place import Place

_LOG: Final = logging.getLogger("edgeway")

REMOTE: Final = frozenset({CENTRAL})
"""Provenances of answers that another process has computed: in the statistics they count as runs."""

REDIS_BREAKER: Final = BreakerSettings(consecutive_5xx=5, base_ejection_time_s=1.0, max_ejection_time_s=60.0)
"""Redis is a cache: trying it again costs one skipped look-up, so it is tried again sooner."""


class GatewayProcess:
    """One gateway, from settings to exit. ``run`` serves until a signal; tests use ``serving``."""

    def __init__(self, settings: Settings, inheritance: Inheritance | None = None) -> None:
        self.settings = settings
        self._inheritance = inheritance
        self.clock = LoopClock()
        self.requests = Requests(self.clock.wall)
        runs = Runs()
        self.telemetry = self.prometheus = Prometheus(self.requests, runs)
        is_cached = settings.cache is not None
        self.statistics = Tallies(
            self.requests,
            runs,
            remote=REMOTE if settings.role == EDGE else (),
            is_cached=lambda _: is_cached,
        )
        self.drain = Drain()
        self.seats = Seats(settings.resilience.admission.max_requests)
        self.listening = Servers(settings.listen, self.clock, inheritance)
        self._repository: ModelRepository | None = None
        self._tracing = TraceSettings()
        self.generation: Callable[[], Generation]
        self._stacks: Callable[[], StacksReport]
        self._report: Callable[[], Mapping[str, Any]] = lambda: {"generation": 0, "file": "", "error": ""}
        self._policies: Policies | None = None
        self._endpoints: Endpoints | None = None
        self._models: Models | None = None
        self._reloads: set[asyncio.Task[None]] = set()
        self._is_complete = False

    def __repr__(self) -> str:
        return f"<GatewayProcess {self.settings.role} {self.settings.region} {self.drain!r}>"

    @property
    def is_ready(self) -> bool:
        """Whether it is complete and does not drain."""
        return self._is_complete and self.drain.is_ready

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain.

        Raises:
            StartError: before anything was served.
        """
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        # Before anything is opened: SIGHUP's default would end a process that is still loading models.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._start_reload)
        if self._inheritance is not None:
            self._inheritance.watch_parent(loop, stopping.set)
        async with self.serving():
            if self._inheritance is not None:
                self._inheritance.tell_ready()
            await stopping.wait()
            _LOG.info("draining")
            # Not ready yet still serving: load balancers need a moment to notice.
            self.drain.begin()
            await self.clock.sleep(self.settings.resilience.drain.drain_time_s)
        _LOG.info("stopped")

    async def reload(self) -> None:
        """Take the policy and the certificates as they are on disk now; what is wrong changes nothing."""
        self.listening.reload_certificates()
        if self._models is not None:
            self._models.forget_refusals()
        if self._policies is not None:
            await self._policies.reload()

    async def _stop_loading(self, watch: asyncio.Task[None]) -> None:
        """End what could bring a policy into force while everything closes."""
        tasks = {watch, *self._reloads}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start_reload(self) -> None:
        task = asyncio.create_task(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Open everything, serve while the block runs, then finish what was accepted and close."""
        async with AsyncExitStack() as lifetimes:
            try:
                await self._open(lifetimes)
            except (ModelError, GeoError, GatewayError) as error:
                raise StartError(str(error)) from error
            self._is_complete = True
            _LOG.info(
                "%s %s is ready: %s", self.settings.role, self.settings.region, self.listening.addresses()
            )
            yield
            # Runs before any lifetime ends: listeners close first, then everything below them.

    async def _open(self, lifetimes: AsyncExitStack) -> None:
        parts = self._parts(lifetimes)
        if self.settings.role == CENTRAL:
            catalog = await self._open_central(lifetimes, parts)
        else:
            catalog = await self._open_edge(lifetimes, parts)
        await self._listen(lifetimes, catalog)

    def _parts(self, lifetimes: AsyncExitStack) -> Parts:
        settings, tracer = self.settings, None
        if settings.telemetry.otlp_endpoint:
            sampling = Sampling()
            self._tracing = TraceSettings(sampling.sample)
            provider = tracer_provider(
                settings.region, settings.role, settings.telemetry.otlp_endpoint, sampler=sampling
            )
            # It sends what is left, which may wait for the collector.
            lifetimes.push_async_callback(asyncio.to_thread, provider.shutdown)
            tracer = provider.get_tracer("edgeway")
        return Parts(
            region=settings.region,
            clock=self.clock,
            chance=Random(),  # noqa: S311 - jitter, not secrets
            telemetry=self.telemetry,
            observed=Observed(self.clock, self.telemetry, tracer),
            resilience=settings.resilience,
            drain=self.drain,
            budget=RetryBudget(settings.resilience.retry_budget),
            seats=self.seats,
        )

    async def _open_central(self, lifetimes: AsyncExitStack, parts: Parts) -> Catalog:
        models = self._load_models(lifetimes, CENTRAL)
        assert models is not None, "load_settings has checked it"
        stack = shared_stack(parts, None, central_stack(parts, models.predictor))
        generation = PolicyGeneration(0, stack)
        self.generation, self._stacks = lambda: generation, generation.report
        return models.registry

    async def _open_edge(self, lifetimes: AsyncExitStack, parts: Parts) -> Catalog:
        settings = self.settings
        assert settings.policy is not None, "load_settings has checked it"
        file = Path(settings.policy)
        models = self._load_models(lifetimes, EDGE)
        endpoints = Endpoints(
            settings.resilience,
            self.clock,
            self.telemetry,
            parts.observed,
            region=settings.region,
            max_body_bytes=settings.listen.max_body_mib << 20,
            upstreams=settings.upstreams,
            chance=parts.chance,
        )
        lifetimes.push_async_callback(endpoints.aclose)
        self._endpoints = endpoints
        builder = Builder(parts, endpoints, models, self._locate(), self._cache(lifetimes, models))
        policies = Policies(file, builder, region=settings.region, clock=self.clock, telemetry=self.telemetry)
        policies.start()
        self.generation, self._report, self._policies = policies.current, policies.report, policies
        self._stacks = policies.stacks
        watch = asyncio.create_task(policies.watch())
        lifetimes.push_async_callback(self._stop_loading, watch)
        return EdgeCatalog(
            builder.in_force,
            models.registry if models else None,
            ask=endpoints.catalog,
            is_available=endpoints.is_available,
            clock=self.clock,
        )

    def _load_models(self, lifetimes: AsyncExitStack, origin: str) -> Models | None:
        settings = self.settings
        if settings.models is None:
            return None
        models = Models.load(
            settings.models,
            region=settings.region,
            origin=origin,
            clock=self.clock,
            telemetry=self.telemetry,
        )
        lifetimes.push_async_callback(models.predictor.close)
        self.requests.expect(model.name for model in models.registry)
        self._models = models
        self._repository = ModelRepository(
            models.registry,
            models.predictor,
            settings.models.batching,
            is_cached=lambda _model: settings.cache is not None,
            changed=self._models_changed,
        )
        return models

    def _models_changed(self) -> None:
        """Give every route the licence, or the lack of one, of the artefacts that answer from now on."""
        assert self._models is not None, "there is no repository without models"
        self.requests.expect(model.name for model in self._models.registry)
        if self._policies is not None:
            self._policies.rebuild()

    def _locate(self) -> Callable[[str], Place | None]:
        geo = self.settings.geo
        if geo is None:
            return lambda _address: None
        places = Places.open(geo.database)
        if geo.max_age_days is not None:
            places.refuse_older_than(geo.max_age_days, self.clock.wall())
        return places.locate

    def _cache(self, lifetimes: AsyncExitStack, models: Models | None) -> CacheParts | None:
        settings = self.settings.cache
        if settings is None:
            return None

        def gate(name: str) -> Gate:
            self.telemetry.emit(BreakerAppeared(name))
            return Circuit(name, REDIS_BREAKER, self.clock, self.telemetry)

        try:
            levels = settings.open_levels(LevelParts(gate, self.clock, self.telemetry))
        except LevelError as error:
            raise StartError(str(error)) from None
        for level in levels[1:]:
            lifetimes.push_async_callback(level.aclose)
        cache = CacheParts(settings, levels, models.instruction_set if models else "none")
        lifetimes.push_async_callback(cache.close_flights)
        return cache

    async def _listen(self, lifetimes: AsyncExitStack, catalog: Catalog) -> None:
        front = DataPlane(
            region=self.settings.region,
            generation=self.generation,
            catalog=catalog,
            is_ready=lambda: self.is_ready,
            trust=Trust(
                self.settings.trusted_proxies,
                self.settings.trusted_gateways,
                forwards_from_all=self.settings.role == CENTRAL,
            ),
            clock=self.clock,
            telemetry=self.telemetry,
            max_body_bytes=self.settings.listen.max_body_mib << 20,
            is_full=lambda: self.seats.are_taken,
            retry_after_s=self.settings.resilience.admission.retry_after_s,
        )
        await self.listening.open(lifetimes, front, await self._open_admin(lifetimes))
        lifetimes.push_async_callback(
            self.listening.stop, self.drain.finished, self.settings.resilience.drain.drain_timeout_s
        )

    async def _open_admin(self, lifetimes: AsyncExitStack) -> Extensions:
        """Open the admin port; return what this process does for operators, alone or with its siblings."""
        repository, log = self._repository or NoRepository(), LogSettings()
        extensions = Extensions(
            repository=repository,
            statistics=self.statistics,
            logging=log,
            tracing=self._tracing,
            settings=self.settings.listen.protocol,
        )
        open_admin = partial(
            self.listening.open_admin,
            lifetimes,
            health=self._health,
            metrics=self._metrics,
            policy=self._policy_report,
        )

        async def index() -> Sequence[IndexEntry]:
            return repository.index()

        orders, inherited = management_routes(repository, log, self._tracing, index=index), self._inheritance
        orders = [*orders, *stack_routes(self._stack_report)]
        if inherited is None:
            await open_admin(more=orders)
            return extensions
        siblings = Member(
            Path(inherited.parent),
            inherited.serial,
            statistics=self.statistics,
            repository=repository,
            log=log,
            tracing=self._tracing,
        )
        await open_admin(more=[*count_routes(self.statistics), *orders])
        # Once the listeners below are closed, nothing more is counted.
        lifetimes.push_async_callback(siblings.tell_last)
        # From here on orders come by themselves; those from before must be known before anybody is served.
        await siblings.catch_up()
        return replace(
            extensions,
            repository=siblings,
            statistics=siblings,
            logging=siblings,
            tracing=siblings.tracing,
        )

    async def _metrics(self) -> bytes:
        return self.prometheus.render()

    async def _stack_report(self) -> StacksReport:
        return self._stacks()

    async def _policy_report(self) -> Mapping[str, Any]:
        return self._report()

    async def _health(self) -> Mapping[str, Any]:
        return {
            "ready": self.is_ready,
            "role": self.settings.role,
            "region": self.settings.region,
            "policy": self._report(),
            **({"endpoints": self._endpoints.report()} if self._endpoints is not None else {}),
            **({"certificates": self._models.report()} if self._models and self._policies else {}),
        }
