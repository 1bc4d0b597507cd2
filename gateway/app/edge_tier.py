"""The edge tiers of one policy generation, as a value: per route its model and licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge_models.licence import Licence
from gateway.app.certificates import REASONS, Certificates, Unusable
from gateway.app.parts import EdgeTier

Licences = Mapping[tuple[str, ...], Licence]


@dataclass(frozen=True, slots=True)
class EdgeTiers:
    """The edge tiers of one policy generation.

    ``by_route``: only routes that have one. ``certificates``: those that the licences were given for.
    ``licences``: these and those of earlier generations, by what they depend on: what a licence has learned
    about the central tier must not be forgotten at a reload.
    """

    by_route: Mapping[str, EdgeTier] = field(default_factory=dict)
    certificates: Certificates = field(default_factory=dict)
    licences: Licences = field(default_factory=dict)

    def models(self) -> frozenset[str]:
        """Return the models that come first on a route."""
        return frozenset(tier.model for tier in self.by_route.values())

    def is_valid(self, model: str) -> bool | None:
        """Whether ``model`` may answer by itself on all of its routes; None when it is on no route."""
        licences = [tier.licence for tier in self.by_route.values() if tier.model == model]
        return not any(licence.reason() for licence in licences) if licences else None

    def report(self) -> Mapping[str, Any]:
        """Return, for each model that comes first on a route, whether it may answer by itself, or why not."""
        reports: dict[str, Any] = {}
        for tier in self.by_route.values():
            reason = tier.licence.reason()
            if not reason:
                reports.setdefault(tier.model, {"valid": True})
            elif reports.get(tier.model, {}).get("valid", True):
                known = self.certificates.get(tier.model)
                detail = known.detail if isinstance(known, Unusable) else ""
                reports[tier.model] = {
                    "valid": False,
                    "reason": reason,
                    "detail": detail or REASONS.get(reason, ""),
                }
        return reports


NO_TIERS: Final = EdgeTiers()
