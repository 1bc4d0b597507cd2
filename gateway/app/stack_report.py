"""All stacks of one policy generation in words, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.core.stack import LayerReport, Stack, render


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


def report_stacks(
    generation: int, shared: Stack, routes: Mapping[str, Stack], endpoints: Mapping[str, Stack]
) -> StacksReport:
    """Describe the stacks as they are now."""
    return StacksReport(
        generation,
        shared.report(),
        {name: stack.report() for name, stack in routes.items()},
        {name: stack.report() for name, stack in endpoints.items()},
    )
