"""The looked-up features of a gateway that is not there, for who shows the stacks of a policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from cache.features.loader import FeatureLoader
from cache.features.stores.store import Outcome
from cache.features.vectors import StoreError
from edge_models.errors import ModelError
from gateway.app.features import Features
from gateway.app.parts import Parts
from gateway.config.settings import Settings


class UnopenedStore:
    """Stands for the store of a gateway that is not there, where only stacks are shown."""

    def __repr__(self) -> str:
        return "<UnopenedStore>"

    async def fetch(self, names: Sequence[bytes]) -> Sequence[Outcome]:  # noqa: ARG002 - a Store
        """Refuse: there is nobody to ask.

        Raises:
            StoreError: always.
        """
        raise StoreError("skipped")

    async def known_ids(self) -> AsyncIterator[Sequence[bytes]]:
        """Yield nothing."""
        for _ in ():
            yield ()

    async def aclose(self) -> None:
        """Do nothing."""


def outlined_features(settings: Settings, parts: Parts) -> Features | None:
    """Return the features of a gateway with ``settings`` that is not there; None: it has none."""
    if settings.features is None or settings.models is None:
        return None
    loaders = {
        name: FeatureLoader(
            name,
            UnopenedStore(),
            store,
            settings.features,
            clock=parts.clock,
            chance=parts.chance,
            telemetry=parts.telemetry,
        )
        for name, store in settings.features.stores.items()
    }
    features = Features(settings.features, settings.region, Path(settings.models.repository), loaders)
    try:
        features.read_all()
    except ModelError:
        return None
    return features
