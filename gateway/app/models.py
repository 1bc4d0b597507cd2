"""The models of this process, and for each route the licence that its certificate gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import onnxruntime

from edge_models.batch_scope import SCOPES, BatchScope
from edge_models.certificate import Certificate, mismatch
from edge_models.certify import DEFER_ALL
from edge_models.executors import ThreadExecutor
from edge_models.inputs import Seen, are_of
from edge_models.isa import instruction_set_class
from edge_models.licence import Artefacts, Licence
from edge_models.predictor import Predictor
from edge_models.registry import Model, Registry
from edge_models.settings import ModelsSettings
from gateway.app.certificates import (
    MISSING,
    Certificates,
    Unusable,
    certificate_file,
    keep_usable,
    read_certificates,
)
from gateway.app.computed_features import open_feature_store
from gateway.app.foundation import Foundation
from gateway.app.parts import RouteEdgeModel
from gateway.app.route_edge_models import NO_EDGE_MODELS, RouteEdgeModels
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.feature_store import FeatureStore
from gateway.core.telemetry import CertificateJudged, Telemetry
from routing.policy import Route


@dataclass(frozen=True, slots=True)
class Models:
    """What this process serves by itself. ``in_use`` returns the edge models in force."""

    registry: Registry
    predictor: Predictor
    settings: ModelsSettings
    instruction_set: str
    telemetry: Telemetry
    clock: Clock
    in_use: Callable[[], RouteEdgeModels]

    @classmethod
    def load(
        cls,
        settings: ModelsSettings,
        *,
        region: str,
        origin: str,
        clock: Clock,
        telemetry: Telemetry,
        in_use: Callable[[], RouteEdgeModels] = lambda: NO_EDGE_MODELS,
        features: FeatureStore | None = None,
        scope: BatchScope = "tenant",
    ) -> Models:
        """Load every model. ``features``: keeps what their backbones compute.

        ``scope``: within whom requests may share a batch, where ``settings`` do not say.

        Raises:
            ModelError: names the file that cannot be served.
        """
        registry = Registry.load(settings)
        predictor = Predictor(
            registry,
            ThreadExecutor(settings.threads),
            batching=settings.batching,
            region=region,
            origin=origin,
            clock=clock,
            telemetry=telemetry,
            features=features,
            scope_of=SCOPES[settings.batch_scope or scope],
        )
        return cls(registry, predictor, settings, instruction_set_class(), telemetry, clock, in_use)

    def names(self) -> frozenset[str]:
        """Return the names of the models that are loaded now."""
        return frozenset(model.name for model in self.registry)

    def report(self) -> Mapping[str, Any]:
        """Return which folders of the repository are not served, and why."""
        registry = self.registry
        return {
            "refused": {
                name: registry.without_folder(each.reason) for name, each in sorted(registry.refused.items())
            }
        }

    def read_certificates(self, models: Iterable[str]) -> Certificates:
        """Read the certificates of ``models`` from disk; it blocks, so call it in a thread."""
        folder = self.settings.certificates
        return read_certificates(Path(folder) if folder else None, models)

    def certificate_files(self, models: Iterable[str]) -> tuple[Path, ...]:
        """Return the paths of the certificates of ``models``, whether there is a file or not."""
        folder = self.settings.certificates
        return tuple(certificate_file(Path(folder), model) for model in sorted(models)) if folder else ()

    def edge_models(
        self, routes: Iterable[Route], found: Certificates, *, forget: bool = False
    ) -> RouteEdgeModels:
        """Return the edge models of ``routes`` under the certificates ``found``; nothing in force changes.

        ``forget``: give every certificate another chance, whatever its licence has learned about central.
        """
        before = self.in_use()
        certificates = keep_usable(before.certificates, found)
        licences = {} if forget else dict(before.licences)
        by_route: dict[str, RouteEdgeModel] = {}
        loaded = self.names()
        for route in routes:
            if route.cascade is None or route.match.model not in loaded:
                continue
            try:
                model = self.registry.get(route.match.model)
            except GatewayError:
                continue
            certificate = certificates.get(model.name, MISSING)
            key, make = self._licence(model, certificate, route.digests)
            if key not in licences:
                licences[key] = make()
            by_route[route.name] = RouteEdgeModel(
                model.name,
                self.predictor,
                licences[key],
                model.session.digest,
                model.spec,
                model.session.batchable,
                model.config.response_cache if model.config is not None else None,
            )
        return RouteEdgeModels(by_route, certificates, licences)

    def after_swap(self, old: RouteEdgeModels, new: RouteEdgeModels) -> None:
        """Report the certificates of ``new``, which is in force now."""
        for model in sorted(old.models() - new.models()):
            self.telemetry.emit(CertificateJudged(model, None))
        for model in sorted(new.models()):
            self.telemetry.emit(CertificateJudged(model, new.is_valid(model)))

    def _report_change(self, model: str) -> None:
        is_valid = self.in_use().is_valid(model)
        if is_valid is not None:
            self.telemetry.emit(CertificateJudged(model, is_valid))

    def _licence(
        self, model: Model, certificate: Certificate | Unusable, central_digests: tuple[str, ...]
    ) -> tuple[tuple[str, ...], Callable[[], Licence]]:
        """Return what the licence depends on, and how it is made."""
        proof, central_digest, threshold, decision, seen = "", "", None, None, None
        if isinstance(certificate, Unusable):
            refusal = certificate.reason
        else:
            refusal = self._refusal(certificate, model, central_digests) or ""
            if not refusal:
                threshold = certificate.threshold
                seen = Seen(certificate.inputs, model.spec.inputs) or None
            decision, central_digest = certificate.decision, certificate.central_digest
            proof = sha256(msgspec.json.encode(certificate)).hexdigest()
        make = partial(
            Licence,
            model.name,
            decision=decision,
            threshold=threshold,
            seen=seen,
            refusal=refusal,
            artefacts=Artefacts(model.session.digest, central_digest, frozenset(central_digests)),
            proof=proof,
            telemetry=self.telemetry,
            changed=partial(self._report_change, model.name),
            now=self.clock.now,
        )
        # With the artefact: another file that is loaded under the same certificate has another licence.
        return (model.name, model.session.digest, proof, refusal, *central_digests), make

    def _refusal(
        self, certificate: Certificate, model: Model, central_digests: tuple[str, ...]
    ) -> str | None:
        # A route without a digest cannot say what central serves, so nothing proves that it is the one.
        differing = mismatch(
            certificate,
            edge_digest=model.session.digest,
            central_digests=central_digests,
            instruction_set=self.instruction_set,
            provider=model.session.providers[0],
            onnxruntime=onnxruntime.__version__,
            model=model.name,
            max_alpha=self.settings.max_alpha,
            max_delta=self.settings.max_delta,
        )
        if differing is not None:
            return differing
        if not certificate.decision.read() <= {output.name for output in model.spec.outputs}:
            return "outputs"
        if not are_of(certificate.inputs, model.spec.inputs, batchable=model.session.batchable):
            return "inputs"
        return "coverage" if certificate.threshold == DEFER_ALL else None


def open_models(foundation: Foundation, settings: ModelsSettings, lifetimes: AsyncExitStack) -> Models:
    """Load the models.

    Raises:
        ModelError: names the file that cannot be served.
        StartError: where their features cannot be kept.
    """
    cache = foundation.settings.cache
    models = Models.load(
        settings,
        region=foundation.settings.region,
        origin=foundation.settings.role,
        clock=foundation.clock,
        telemetry=foundation.prometheus,
        in_use=foundation.in_force.edge_models,
        features=open_feature_store(foundation, lifetimes),
        scope="tenant" if cache is None else cache.scope,
    )
    lifetimes.push_async_callback(models.predictor.close)
    foundation.requests.expect(models.names())
    return models
