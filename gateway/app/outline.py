"""The stacks that a gateway would build of a policy, without a gateway: for `edgeway policy explain --stack`.

Nothing is connected and no model is loaded. What only a running gateway knows (breakers, licences, what is in
the caches) is shown as it is at a start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from opentelemetry.trace import NoOpTracer

from cache.levels.level import LevelParts
from cache.settings import CacheSettings
from edge_models.isa import instruction_set_class
from edge_models.licence import Permission
from edge_models.settings import ModelsSettings
from gateway.app.builder import Builder, EdgeModels
from gateway.app.certificates import Certificates
from gateway.app.endpoint_set import NO_ENDPOINTS
from gateway.app.endpoints import make_endpoints
from gateway.app.features import with_features
from gateway.app.loading import Loaded
from gateway.app.observe import Observed
from gateway.app.outlined_features import outlined_features
from gateway.app.parts import CacheParts, Parts, RouteEdgeModel
from gateway.app.route_edge_models import RouteEdgeModels
from gateway.app.stack_report import StacksReport
from gateway.config.settings import Settings
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.gate import GateSettings, OpenGate
from gateway.core.request import EDGE, Request, Response
from gateway.core.telemetry import Silence
from routing.policy import Policy, Route

_DIGEST: Final = "the edge model's"


class UnloadedModel:
    """Stands for the models of a process that is not there."""

    def __repr__(self) -> str:
        return "<UnloadedModel: the models of a gateway are loaded when it starts>"

    async def __call__(self, request: Request) -> Response:  # noqa: ARG002 - a Service's signature
        """Answer nothing.

        Raises:
            GatewayError: UNAVAILABLE, always.
        """
        raise GatewayError(Fault.UNAVAILABLE, "no model is loaded")


class UnreadLicence:
    """Stands for the licence that a model's certificate gives when a gateway reads it; it permits nothing."""

    def __init__(self, model: str) -> None:
        self._model = model

    def __repr__(self) -> str:
        return f"<UnreadLicence {self._model}: certificates are read when a gateway starts>"

    def proof(self) -> str:
        """Return nothing: there is no certificate."""
        return ""

    def reason(self) -> str:
        """Return that there is no certificate."""
        return "missing"

    def is_valid(self, version: str = "") -> bool:  # noqa: ARG002 - a Permission
        """Return that no answer is covered."""
        return False

    def served(self, names: tuple[str, ...]) -> None:
        """Return that there are no certified outputs."""

    def classifies(self, classes: Mapping[str, int]) -> bool:  # noqa: ARG002 - a Permission
        """Return that no class is certified."""
        return False

    def fits(self, request: Request) -> bool:  # noqa: ARG002 - a Permission
        """Return that no request is of the certified kind."""
        return False

    def differs(self, edge: Response, central: Response) -> bool:  # noqa: ARG002 - a Permission
        """Nothing is compared."""
        return False

    def covers(self, answer: Response) -> bool:  # noqa: ARG002 - a Permission
        """Return that no answer is certified."""
        return False

    def compare(self, answer: Response, version: str) -> None:
        """Do nothing: there is no certified artefact."""


class UnloadedModels:
    """Stands for the models of a process: every route with a cascade has one."""

    def edge_models(
        self,
        routes: Iterable[Route],
        found: Certificates,
        *,
        forget: bool = False,  # noqa: ARG002 - nothing is known that could be forgotten
    ) -> RouteEdgeModels:
        """Return an edge model for each route that names a cascade."""
        names = {route.name: route.match.model for route in routes if route.cascade is not None}
        edge_models = {
            route: RouteEdgeModel(model, UnloadedModel(), UnreadLicence(model), _DIGEST)
            for route, model in names.items()
        }
        return RouteEdgeModels(edge_models, found)

    def after_swap(self, old: RouteEdgeModels, new: RouteEdgeModels) -> None:
        """Do nothing: no generation comes into force."""


def assumed(region: str) -> Settings:
    """Return the settings of a gateway of which only the region is known: defaults, a cache, and models."""
    models = ModelsSettings(repository="unknown")
    return Settings(role=EDGE, region=region, cache=CacheSettings(), models=models)


async def outline(policy: Policy, settings: Settings) -> StacksReport:
    """Describe the stacks of ``policy`` in a gateway with ``settings``. Needs a running loop."""
    clock, silence = LoopClock(), Silence()
    observed = Observed(clock, silence, NoOpTracer() if settings.telemetry.otlp_endpoint else None)
    parts = Parts.of(settings, clock, silence, observed)
    endpoints = make_endpoints(settings, parts, lambda: NO_ENDPOINTS)
    cache = None
    if settings.cache is not None:
        levels = settings.cache.open_levels(LevelParts(_open_gate, clock, silence))
        cache = CacheParts(settings.cache, levels, instruction_set_class())
    models = UnloadedModels() if settings.models is not None else None
    parts = with_features(parts, outlined_features(settings, parts))
    builder = Builder(parts, endpoints, models, lambda _address: None, cache)
    try:
        generation = builder.build(Loaded(_without_files(policy), b"", {}))
        endpoints.discard(generation.endpoints)
        return await generation.report()
    finally:
        await endpoints.aclose()


def _without_files(policy: Policy) -> Policy:
    """Return ``policy`` as it is on a machine without its endpoints' certificates and credentials."""
    endpoints = {
        name: msgspec.structs.replace(endpoint, tls=None, credential=None)
        for name, endpoint in policy.endpoints.items()
    }
    return msgspec.structs.replace(policy, endpoints=endpoints)


def _open_gate(_name: str, _settings: GateSettings) -> OpenGate:
    return OpenGate()


_: tuple[type[EdgeModels], type[Permission]] = (UnloadedModels, UnreadLicence)
