"""All stacks of one policy generation in words, for people and for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from gateway.core.stack import LayerReport, Stack, render

_PER_TURN: Final = 16


class StacksReport(msgspec.Struct, frozen=True):
    """What a request meets: ``shared``, then the layers of its route, then those of an endpoint.

    Each list begins with the outermost layer. Routes and endpoints by name.
    """

    generation: int
    shared: tuple[LayerReport, ...]
    routes: Mapping[str, tuple[LayerReport, ...]]
    endpoints: Mapping[str, tuple[LayerReport, ...]]

    def __str__(self) -> str:
        parts = [("all routes", self.shared)]
        parts += [(f"route {name}", layers) for name, layers in self.routes.items()]
        parts += [(f"endpoint {name}", layers) for name, layers in self.endpoints.items()]
        return "\n\n".join(f"{title}\n{render(layers)}" for title, layers in parts)


async def report_stacks(
    generation: int,
    shared: Stack,
    routes: Iterable[tuple[str, Stack]],
    endpoints: Mapping[str, tuple[LayerReport, ...]],
) -> StacksReport:
    """Describe the stacks as they are now; of thousands of routes a few in each turn of the loop."""
    described: dict[str, tuple[LayerReport, ...]] = {}
    for name, stack in routes:
        described[name] = stack.report()
        if not len(described) % _PER_TURN:
            await asyncio.sleep(0)
    return StacksReport(
        generation,
        shared.report(),
        described,
        endpoints,
    )
