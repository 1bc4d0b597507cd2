"""Assembly of the models of one process."""

from __future__ import annotations

from contextlib import AsyncExitStack

from edge_models.settings import ModelsSettings
from gateway.app.edge_tier import Models
from gateway.app.foundation import Foundation


def open_models(foundation: Foundation, settings: ModelsSettings, lifetimes: AsyncExitStack) -> Models:
    """Load the models.

    Raises:
        ModelError: names the file that cannot be served.
    """
    models = Models.load(
        settings,
        region=foundation.settings.region,
        origin=foundation.settings.role,
        clock=foundation.clock,
        telemetry=foundation.prometheus,
        in_use=foundation.in_force.tiers,
    )
    lifetimes.push_async_callback(models.predictor.close)
    foundation.requests.expect(models.names())
    return models
