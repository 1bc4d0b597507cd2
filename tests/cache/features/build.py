"""VectorSources and requests that the tests of enrichment share."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from cache.features.filling import VectorSource
from cache.features.loader import FeatureLoader
from cache.features.settings import FeaturesSettings, StoreSettings
from gateway.core.features import EnrichedInput
from gateway.core.request import Request
from gateway.core.telemetry import Silence, Telemetry
from gateway.core.tensor import Tensor
from tests.cache.build import StepClock
from tests.cache.features.fake_store import FakeStore


def row(*values: float) -> bytes:
    return np.array(values, np.float32).tobytes()


def entry(**changes: Any) -> EnrichedInput:
    """An entry of two elements, with a default."""
    whole = {"store": "users", "key": "user_id", "input": "user", "default": (0.5, 0.5), **changes}
    return EnrichedInput(**whole)


def source(
    store: FakeStore,
    *,
    telemetry: Telemetry | None = None,
    region: str = "here",
    refuses: bool = False,
    most: int = 100,
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> VectorSource:
    """A source of ``entry(**changes)`` before ``store``."""
    whole = StoreSettings(**{"redis": "redis://h", "jitter": 0.0, "key_prefix": "none", **(settings or {})})
    loader = FeatureLoader(
        "users",
        store,
        whole,
        FeaturesSettings(),
        clock=StepClock(),
        chance=random.Random(1),
        telemetry=telemetry or Silence(),
    )
    return VectorSource(entry(**changes), loader, region, most, refuses)


def key(*ids: bytes, name: str = "user_id") -> Tensor:
    return Tensor.from_numpy(name, np.array(ids, np.object_).reshape(-1, 1))


def request_of(*inputs: Tensor, **changes: Any) -> Request:
    """A request for ``shop``."""
    return Request(**{"model": "shop", "inputs": inputs, **changes})
