"""The models of this process, and for each route the licence that its certificate gives."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import onnxruntime

from edge_models.certificate import Certificate, load_certificate, mismatch
from edge_models.certify import DEFER_ALL
from edge_models.executors import ThreadExecutor
from edge_models.inputs import Seen, are_of
from edge_models.isa import instruction_set_class
from edge_models.licence import Artefacts, Licence
from edge_models.predictor import Predictor
from edge_models.registry import Model, Registry
from edge_models.settings import ModelsSettings
from gateway.app.stacks import EdgeTier
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.telemetry import CertificateJudged, Telemetry
from routing.policy import Route

_UNREADABLE: Final = "unreadable"
_LOG: Final = logging.getLogger("edgeway.models")

_REASONS: Final[dict[str, str]] = {
    "missing": "there is no certificate of this model",
    _UNREADABLE: "the file cannot be used",
    "model": "it is another model's",
    "edge_digest": "the edge serves another artefact than was certified",
    "central_digest": "the route names, or central answers with, another artefact than was certified",
    "instruction_set": "it was made on another kind of machine",
    "provider": "it was made with the edge model on another execution provider (CPU, CUDA)",
    "onnxruntime": "it was made with another version of ONNX Runtime",
    "inputs": "the edge model's inputs are not those that were certified",
    "outputs": "the edge model's outputs are not those that were certified",
    "coverage": "it proves no threshold safe",
    "alpha": "it allows more risk than `models.max_alpha`",
    "delta": "it leaves more doubt than `models.max_delta`",
}


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a model has no certificate: one word, and what the file says, if there is one."""

    word: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Models:
    """What this process serves by itself.

    ``certificates``: model → certificate, or why there is none. ``licences`` are kept for as long as the
    process runs: what one has learned about central must not be forgotten at a reload. ``in_use``: route →
    the licence under which its edge model answers, of the policy in force.
    """

    registry: Registry
    predictor: Predictor
    settings: ModelsSettings
    certificates: dict[str, Certificate | Unusable]
    instruction_set: str
    telemetry: Telemetry
    clock: Clock
    licences: dict[tuple[str, ...], Licence] = field(default_factory=dict)
    in_use: dict[str, EdgeTier] = field(default_factory=dict)

    @classmethod
    def load(
        cls, settings: ModelsSettings, *, region: str, origin: str, clock: Clock, telemetry: Telemetry
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
        return cls(registry, predictor, settings, {}, instruction_set_class(), telemetry, clock)

    def read_certificates(self) -> None:
        """Read the certificates anew, before the stacks of a policy are built."""
        folder = Path(self.settings.certificates) if self.settings.certificates else None
        for model in self.registry:
            found = _certificate(folder, model.name)
            is_bad = isinstance(found, Unusable) and found.word == _UNREADABLE
            if is_bad and isinstance(self.certificates.get(model.name), Certificate):
                # It may be in the middle of being written: the one in use stays, as a policy would.
                _LOG.error("the certificate in use for %s stays", model.name)
                continue
            self.certificates[model.name] = found

    def forget_refusals(self) -> None:
        """Give every certificate another chance: an operator says that central serves the right model again.

        Takes effect with the next stacks; until then the licences in use stay as they are.
        """
        self.licences.clear()

    def tier(self, route: Route) -> EdgeTier | None:
        """Return the edge tier of ``route``; None when it has none, or not a model of this process's."""
        if route.cascade is None:
            return None
        try:
            model = self.registry.get(route.match.model)
        except GatewayError:
            return None
        licence = self._licence(model, route.digests)
        return EdgeTier(model.name, self.predictor, licence, model.session.digest)

    def use(self, tiers: Mapping[str, EdgeTier]) -> None:
        """Take note of the tiers, by route, of the policy that comes into force."""
        before = {tier.model for tier in self.in_use.values()}
        self.in_use.clear()
        self.in_use.update(tiers)
        now = {tier.model for tier in tiers.values()}
        for model in sorted(before - now):
            self.telemetry.emit(CertificateJudged(model, None))
        for model in sorted(now):
            self._judge(model)

    def report(self) -> Mapping[str, Any]:
        """Tell, of each model that comes first on a route, whether it may answer by itself, or why not."""
        told: dict[str, Any] = {}
        for tier in self.in_use.values():
            reason = tier.licence.reason()
            if not reason:
                told.setdefault(tier.model, {"valid": True})
            elif told.get(tier.model, {}).get("valid", True):
                detail = _REASONS.get(reason, "")
                known = self.certificates.get(tier.model)
                if isinstance(known, Unusable) and known.detail:
                    detail = known.detail
                told[tier.model] = {"valid": False, "reason": reason, "detail": detail}
        return told

    def _judge(self, model: str) -> None:
        licences = [tier.licence for tier in self.in_use.values() if tier.model == model]
        if licences:
            is_valid = not any(licence.reason() for licence in licences)
            self.telemetry.emit(CertificateJudged(model, is_valid))

    def _licence(self, model: Model, central_digests: tuple[str, ...]) -> Licence:
        certificate = self.certificates[model.name]
        proof, central_digest, threshold, decision, seen = "", "", None, None, None
        if isinstance(certificate, Unusable):
            refusal = certificate.word
        else:
            refusal = self._refusal(certificate, model, central_digests) or ""
            if not refusal:
                threshold = certificate.threshold
                seen = Seen(certificate.inputs, model.spec.inputs) or None
            decision, central_digest = certificate.decision, certificate.central_digest
            proof = sha256(msgspec.json.encode(certificate)).hexdigest()
        # With the artefact: another file that is loaded under the same certificate has another licence.
        key = (model.name, model.session.digest, proof, refusal, *central_digests)
        if key not in self.licences:
            self.licences[key] = Licence(
                model.name,
                decision=decision,
                threshold=threshold,
                seen=seen,
                refusal=refusal,
                artefacts=Artefacts(model.session.digest, central_digest, frozenset(central_digests)),
                proof=proof,
                telemetry=self.telemetry,
                changed=partial(self._judge, model.name),
                now=self.clock.now,
            )
        return self.licences[key]

    def _refusal(
        self, certificate: Certificate, model: Model, central_digests: tuple[str, ...]
    ) -> str | None:
        # A route without a digest cannot say what central serves, so nothing proves that it is the one.
        field = mismatch(
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
        if field is not None:
            return field
        if not certificate.decision.read() <= {output.name for output in model.spec.outputs}:
            return "outputs"
        if not are_of(certificate.inputs, model.spec.inputs, batchable=model.session.batchable):
            return "inputs"
        return "coverage" if certificate.threshold == DEFER_ALL else None


def _certificate(folder: Path | None, name: str) -> Certificate | Unusable:
    """Return the certificate of a model, or why there is none."""
    if folder is None or not (folder / f"{name}.json").exists():
        return Unusable("missing")
    try:
        return load_certificate(folder / f"{name}.json")
    except ValueError as error:
        _LOG.warning("%s", error)
        return Unusable(_UNREADABLE, str(error))
