"""What looked-up features report, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.core import feature_events as events
from gateway.telemetry.series import Counts, Gauges


class FeatureMetrics:
    """Counts entities and round trips by store; ``register`` shows a series in the process's registry."""

    def __init__(self, register: Callable[[Any], None]) -> None:
        by_outcome = ("store", "outcome")
        self._entities = Counts("edgeway_feature_entities", "Entities that were looked up", *by_outcome)
        self._trips = Counts("edgeway_feature_round_trips", "Round trips to a store", *by_outcome)
        self._fetched = Counts("edgeway_feature_fetched", "Entities that a store was asked for", *by_outcome)
        self._listings = Counts("edgeway_feature_listings", "Listings of all ids of a store", *by_outcome)
        self._filled = Counts(
            "edgeway_feature_lacking", "Inputs that were not filled with fresh vectors alone", "store", "how"
        )
        self._ids = Gauges("edgeway_feature_known_ids", "Ids of the last listing", "store")
        self._fill = Gauges("edgeway_feature_bloom_fill", "Share of the filter's capacity in use", "store")
        self._mistaken = Gauges(
            "edgeway_feature_bloom_false_positives", "Share of absent ids that the filter lets pass", "store"
        )
        for series in (
            *(self._entities, self._trips, self._fetched, self._filled, self._listings),
            *(self._ids, self._fill, self._mistaken),
        ):
            register(series)

    def __repr__(self) -> str:
        return "<FeatureMetrics>"

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        """Return what takes each kind of event."""
        return {
            events.FeaturesLookedUp: self._looked_up,
            events.FeaturesFetched: self._took,
            events.FeaturesFilled: self._lacked,
            events.KnownIdsListed: self._listed,
        }

    def _looked_up(self, event: events.FeaturesLookedUp) -> None:
        self._entities.add(event.count, event.store, event.outcome)

    def _took(self, event: events.FeaturesFetched) -> None:
        self._trips.add(1, event.store, event.outcome)
        for outcome in ("found", "absent", "failed"):
            if count := getattr(event, outcome):
                self._fetched.add(count, event.store, outcome)

    def _lacked(self, event: events.FeaturesFilled) -> None:
        self._filled.add(1, event.store, event.how)

    def _listed(self, event: events.KnownIdsListed) -> None:
        self._listings.add(1, event.store, event.error or "ok")
        if not event.error:
            self._ids.set(event.store, event.ids)
            self._fill.set(event.store, event.fill)
            self._mistaken.set(event.store, event.false_positives)
