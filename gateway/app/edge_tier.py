"""The models of this process, and for each route the licence that its certificate gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import onnxruntime

from edge_models.certificate import Certificate, mismatch
from edge_models.certify import DEFER_ALL
from edge_models.executors import ThreadExecutor
from edge_models.inputs import Seen, are_of
from edge_models.isa import instruction_set_class
from edge_models.licence import Artefacts, Licence
from edge_models.predictor import Predictor
from edge_models.registry import Model, Registry
from edge_models.settings import ModelsSettings
from gateway.app.certificates import MISSING, REASONS, Certificates, Unusable, keep_usable, read_certificates
from gateway.app.parts import EdgeTier
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.telemetry import CertificateJudged, Telemetry
from routing.policy import Route

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


@dataclass(frozen=True, slots=True)
class Models:
    """What this process serves by itself. ``in_use`` returns the edge tiers in force."""

    registry: Registry
    predictor: Predictor
    settings: ModelsSettings
    instruction_set: str
    telemetry: Telemetry
    clock: Clock
    in_use: Callable[[], EdgeTiers]

    @classmethod
    def load(
        cls,
        settings: ModelsSettings,
        *,
        region: str,
        origin: str,
        clock: Clock,
        telemetry: Telemetry,
        in_use: Callable[[], EdgeTiers] = lambda: NO_TIERS,
    ) -> Models:
        """Load every model.

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
        )
        return cls(registry, predictor, settings, instruction_set_class(), telemetry, clock, in_use)

    def names(self) -> frozenset[str]:
        """Return the names of the models that are loaded now."""
        return frozenset(model.name for model in self.registry)

    def read_certificates(self, models: Iterable[str]) -> Certificates:
        """Read the certificates of ``models`` from disk; it blocks, so call it in a thread."""
        folder = self.settings.certificates
        return read_certificates(Path(folder) if folder else None, models)

    def tiers(self, routes: Iterable[Route], found: Certificates, *, forget: bool = False) -> EdgeTiers:
        """Return the edge tiers of ``routes`` under the certificates ``found``; nothing in force changes.

        ``forget``: give every certificate another chance, whatever its licence has learned about central.
        """
        before = self.in_use()
        certificates = keep_usable(before.certificates, found)
        licences = {} if forget else dict(before.licences)
        by_route: dict[str, EdgeTier] = {}
        for route in routes:
            if route.cascade is None:
                continue
            try:
                model = self.registry.get(route.match.model)
            except GatewayError:
                continue
            certificate = certificates.get(model.name, MISSING)
            key, make = self._licence(model, certificate, route.digests)
            if key not in licences:
                licences[key] = make()
            by_route[route.name] = EdgeTier(model.name, self.predictor, licences[key], model.session.digest)
        return EdgeTiers(by_route, certificates, licences)

    def replaced(self, old: EdgeTiers, new: EdgeTiers) -> None:
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
