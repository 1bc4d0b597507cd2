"""The edge models of one policy generation, as a value: per route its model and licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge_models.licence import Licence
from gateway.app.certificates import REASONS, Certificates, Unusable
from gateway.app.parts import RouteEdgeModel

Licences = Mapping[tuple[str, ...], Licence]


@dataclass(frozen=True, slots=True)
class RouteEdgeModels:
    """The edge models of one policy generation.

    ``by_route``: only routes that have one. ``certificates``: those that the licences were given for.
    ``licences``: these and those of earlier generations, by what they depend on: what a licence has learned
    about the central tier must not be forgotten at a reload.
    """

    by_route: Mapping[str, RouteEdgeModel] = field(default_factory=dict)
    certificates: Certificates = field(default_factory=dict)
    licences: Licences = field(default_factory=dict)

    def models(self) -> frozenset[str]:
        """Return the models that come first on a route."""
        return frozenset(edge.model for edge in self.by_route.values())

    def forbid_cache(self, model: str) -> bool:
        """Whether the configuration of ``model`` has its answers not kept."""
        return any(edge.model == model and edge.response_cache is False for edge in self.by_route.values())

    def is_valid(self, model: str) -> bool | None:
        """Whether ``model`` may answer by itself on all of its routes; None when it is on no route."""
        licences = [edge.licence for edge in self.by_route.values() if edge.model == model]
        return not any(licence.reason() for licence in licences) if licences else None

    def report(self) -> Mapping[str, Any]:
        """Return, for each model that comes first on a route, whether it may answer by itself, or why not."""
        reports: dict[str, Any] = {}
        for edge in self.by_route.values():
            reason = edge.licence.reason()
            if not reason:
                reports.setdefault(edge.model, {"valid": True})
            elif reports.get(edge.model, {}).get("valid", True):
                known = self.certificates.get(edge.model)
                detail = known.detail if isinstance(known, Unusable) else ""
                reports[edge.model] = {
                    "valid": False,
                    "reason": reason,
                    "detail": detail or REASONS.get(reason, ""),
                }
        return reports


NO_EDGE_MODELS: Final = RouteEdgeModels()
