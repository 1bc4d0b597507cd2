"""Features: what the backbone of a model computes, kept by content for every head on it.

The seam between models and caches, which do not know each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from gateway.core.catalog import TensorSpec
from gateway.core.request import Request
from gateway.core.tensor import Tensor

Features = tuple[Tensor, ...]
"""The outputs of a backbone for one part of a request, in its order."""

Compute = Callable[[Sequence[int]], Awaitable[Sequence[Features]]]
"""Runs the backbone for the parts at these places."""


class Backbone(msgspec.Struct, frozen=True):
    """The first of a model's two files.

    ``digest``: of the file. ``runtime``: what runs it, as far as that changes bits of what it computes.
    ``outputs``: what it gives. ``is_batched``: their first dimension is the input's rows.
    """

    digest: str
    runtime: str
    outputs: tuple[TensorSpec, ...]
    is_batched: bool


class FoundFeatures(NamedTuple):
    """Features of each part of a request. ``level``: where all were held; empty: some were computed."""

    parts: Sequence[Features]
    level: str = ""


class FeatureStore(Protocol):
    """What keeps features, within the scope in which answers are shared."""

    async def find(
        self, request: Request, backbone: Backbone, parts: Sequence[Sequence[Tensor]], compute: Compute
    ) -> FoundFeatures:
        """Return the features of ``parts``: each the inputs of one row, or of a request as a whole.

        ``request``: for whom. What is not held is computed, once for equal requests at the same time.

        Raises:
            GatewayError: what ``compute`` raised, or the deadline has passed.
        """
        ...
