"""Events to Prometheus: one handler per kind of event, one registry per process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

from gateway.core import cache_events
from gateway.core import telemetry as events
from gateway.telemetry.backbone_metrics import feature_handlers
from gateway.telemetry.cache_metrics import CacheMetrics
from gateway.telemetry.feature_metrics import FeatureMetrics
from gateway.telemetry.invalidations import invalidation_handlers
from gateway.telemetry.lease_metrics import LeaseMetrics
from gateway.telemetry.members import MemberRow, Members
from gateway.telemetry.redis_metrics import RedisMetrics
from gateway.telemetry.request_log_metrics import RequestLogMetrics
from gateway.telemetry.requests import Requests
from gateway.telemetry.runs import Runs
from gateway.telemetry.series import LATENCY_BUCKETS_S, Counts, Gauges, Reasons, Spreads
from gateway.telemetry.shadow_results import ShadowResults
from gateway.telemetry.verification_metrics import VerificationMetrics
from gateway.telemetry.warming_metrics import warming_handlers

Plain = TypeVar("Plain", Counts, Gauges)

_BREAKER_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}


class Prometheus:
    """Telemetry that counts. ``render`` gives the exposition text for ``/metrics``."""

    def __init__(self, requests: Requests, runs: Runs) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(requests)
        self._registry.register(runs)
        self._runs = runs
        self._requests = requests
        self._model = requests.label
        self.caches = CacheMetrics(requests.label)
        leases, verifications = LeaseMetrics(), VerificationMetrics()
        redis, log = RedisMetrics(), RequestLogMetrics()
        for collector in (self.caches, leases, verifications, redis, log):
            self._registry.register(collector)
        self._children: dict[tuple[Any, ...], Any] = {}
        disable_created_metrics()  # type: ignore[no-untyped-call] # half of the text; nobody plots it
        ProcessCollector(registry=self._registry)
        self._handlers: dict[type, Callable[[Any], None]] = (
            self._request_handlers()
            | dict(FeatureMetrics(self._registry.register).handlers())
            | redis.handlers()
            | self.caches.handlers()
            | {
                cache_events.CacheLookedUp: requests.looked_up,
                cache_events.CacheLogLinesLost: log.lost,
                cache_events.CacheLeased: leases.leased,
                cache_events.CacheVerified: verifications.verified,
            }
            | feature_handlers(self._counter)
            | self._model_handlers()
            | self._fault_handlers()
            | self._attempt_handlers()
            | invalidation_handlers(self._registry)
            | warming_handlers(self._registry)
        )

    def __repr__(self) -> str:
        return f"<Prometheus {len(self._children)} series, {self._requests!r}>"

    def watch_members(self, rows: Callable[[], Iterable[MemberRow]]) -> None:
        """Show the members of endpoints; ``rows`` returns those of now."""
        self._registry.register(Members(rows))

    def emit(self, event: events.Event) -> None:
        """Count ``event``."""
        self._handlers[type(event)](event)

    def render(self) -> bytes:
        """Return the text exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"edgeway_{name}", help_, labels, registry=self._registry)

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(f"edgeway_{name}", help_, labels, registry=self._registry)

    def _plain(self, kind: type[Plain], name: str, help_: str, *labels: str) -> Plain:
        series = kind(f"edgeway_{name}", help_, *labels)
        self._registry.register(series)
        return series

    def _spreads(self, name: str, help_: str, label: str, bounds: Sequence[float]) -> Spreads:
        series = Spreads(f"edgeway_{name}", help_, label, bounds=bounds)
        self._registry.register(series)
        return series

    def _child(self, metric: Any, *labels: str) -> Any:
        """Return the bound series: looking it up here is several times cheaper than ``metric.labels``."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def _request_handlers(self) -> dict[type, Callable[[Any], None]]:
        layers = self._spreads("layer_seconds", "Time in a layer and below", "layer", LATENCY_BUCKETS_S)

        def timed(event: events.LayerTimed) -> None:
            layers.observe(event.layer, event.seconds)

        shadows = ShadowResults()
        self._registry.register(shadows)
        return {
            events.RequestFinished: self._requests.finished,
            events.LayerTimed: timed,
            events.ShadowFinished: shadows.finished,
        }

    def _model_handlers(self) -> dict[type, Callable[[Any], None]]:
        decided = self._plain(
            Counts, "cascade_decisions", "What the cascade did", "model", "outcome", "reason"
        )
        refused = self._counter("certificates_refused", "Certificates that do not fit", "model", "field")
        valid = self._gauge(
            "certificate_valid", "1: the edge model may answer by itself; 0: it may not", "model"
        )
        depth = self._plain(Gauges, "queue_depth", "Requests that wait for a batch", "model")

        models_refused = self._gauge(
            "models_refused", "Folders of the model repository that are not served", "kind"
        )

        def count_refused(event: events.ModelsRefused) -> None:
            self._child(models_refused, "bad").set(event.bad)
            self._child(models_refused, "other_backend").set(event.foreign)

        def judged(event: events.CertificateJudged) -> None:
            # The name is that of a model of this process: nobody from outside has chosen it.
            if event.is_valid is not None:
                self._child(valid, event.model).set(event.is_valid)
            elif self._children.pop((valid, event.model), None) is not None:
                valid.remove(event.model)

        return {
            events.CascadeDecided: lambda e: decided.count(self._model(e.model), e.outcome, e.reason),
            events.CertificateJudged: judged,
            events.CertificateRefused: lambda e: self._child(refused, self._model(e.model), e.field).inc(),
            events.ModelsRefused: count_refused,
            events.BatchRan: self._runs.ran,
            events.RunCut: self._runs.cut,
            events.QueueChanged: lambda e: depth.set(e.model, e.depth),
        }

    def _fault_handlers(self) -> dict[type, Callable[[Any], None]]:
        state = self._gauge("breaker_state", "0 closed, 1 half open, 2 open", "endpoint")
        changes = self._counter("breaker_changes", "Breaker transitions", "endpoint", "state")
        reasons = Reasons(
            "edgeway_breaker_open", "1 while it is not closed, and why; of one model if it says so"
        )
        self._registry.register(reasons)
        refusals = self._counter("refusals", "Requests turned away", "layer", "reason")
        generation = self._gauge("policy_generation", "Policy generation in force")
        loads = self._counter("policy_loads", "Policy loads", "outcome")

        def breaker(event: events.BreakerChanged) -> None:
            reasons.note(event.endpoint, self._model(event.model) if event.model else "", event.reason)
            if event.model:
                return
            self._child(state, event.endpoint).set(_BREAKER_STATES[event.state])
            self._child(changes, event.endpoint, event.state).inc()

        def gone(event: events.BreakerGone) -> None:
            reasons.forget(event.endpoint)
            state.remove(event.endpoint)
            del self._children[state, event.endpoint]

        def policy(event: events.PolicyLoaded) -> None:
            self._requests.expect(event.models)
            self._child(loads, "refused" if event.error else "accepted").inc()
            generation.set(event.generation)

        built = self._gauge(
            "geo_build_timestamp_seconds", "When the geo database in use was built", "database"
        )
        geo_loads = self._counter("geo_loads", "Attempts to take a geo database", "outcome", "database")

        def geo(event: events.GeoLoaded) -> None:
            self._child(geo_loads, "refused" if event.error else "accepted", event.database).inc()
            self._child(built, event.database).set(event.build_epoch)

        return {
            events.GeoLoaded: geo,
            events.BreakerAppeared: lambda e: self._child(state, e.endpoint).set(0),
            events.BreakerChanged: breaker,
            events.BreakerGone: gone,
            events.Refused: lambda e: self._child(refusals, e.layer, e.reason).inc(),
            events.PolicyLoaded: policy,
        }

    def _attempt_handlers(self) -> dict[type, Callable[[Any], None]]:
        retries = self._counter("retries", "Attempts after a failure", "fault")
        denied = self._counter("retries_denied", "Failures passed on though retryable", "reason")
        hedges = self._counter("hedges", "Attempts beside slow ones", "outcome")
        alone = self._counter("hedges_denied", "Slow attempts without another beside them", "reason")
        return {
            events.RetryScheduled: lambda e: self._child(retries, e.fault).inc(),
            events.RetryDenied: lambda e: self._child(denied, e.reason).inc(),
            events.HedgeEnded: lambda e: self._child(hedges, e.outcome).inc(),
            events.HedgeDenied: lambda e: self._child(alone, e.reason).inc(),
        }


_: type[events.Telemetry] = Prometheus
