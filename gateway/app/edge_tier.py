"""The models of this process, and for each route the licence that its certificate gives."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import onnxruntime

from edge_models.certify import Certificate, load_certificate, mismatch
from edge_models.confidence import MEASURES
from edge_models.isa import instruction_set_class
from edge_models.licence import Licence, score_output
from edge_models.predictor import Predictor
from edge_models.registry import Model, Registry
from edge_models.settings import ModelsSettings
from edge_models.workers import Workers
from gateway.app.stacks import EdgeTier
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.telemetry import Telemetry
from routing.policy import Route

_UNREADABLE: Final = "unreadable"
DEFAULT_SCORE: Final = "max_probability"
_LOG: Final = logging.getLogger("edgeway.models")


@dataclass(frozen=True, slots=True)
class Models:
    """What this process serves by itself.

    ``certificates``: model → certificate, or one word for why there is none. ``licences`` are kept for
    as long as the process runs: what one has learned about central must not be forgotten at a reload.
    """

    registry: Registry
    predictor: Predictor
    settings: ModelsSettings
    certificates: dict[str, Certificate | str]
    instruction_set: str
    licences: dict[tuple[str, str, str, str], Licence] = field(default_factory=dict)

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
            Workers(settings.threads),
            batching=settings.batching,
            region=region,
            origin=origin,
            clock=clock,
            telemetry=telemetry,
        )
        return cls(registry, predictor, settings, {}, instruction_set_class())

    def read_certificates(self) -> None:
        """Read the certificates anew, before the stacks of a policy are built."""
        folder = Path(self.settings.certificates) if self.settings.certificates else None
        for model in self.registry:
            found = _certificate(folder, model.name)
            if found == _UNREADABLE and isinstance(self.certificates.get(model.name), Certificate):
                # It may be in the middle of being written: the one in use stays, as a policy would.
                _LOG.error("the certificate in use for %s stays", model.name)
                continue
            self.certificates[model.name] = found

    def forget_refusals(self) -> None:
        """Give every certificate another chance: an operator says that central serves the right model again.

        Takes effect with the next stacks; until then the licences in use stay as they are.
        """
        self.licences.clear()

    def tier(self, route: Route, telemetry: Telemetry) -> EdgeTier | None:
        """Return the edge tier of ``route``; None when its model is not one of this process's."""
        try:
            model = self.registry.get(route.match.model)
        except GatewayError:
            return None
        licence = self._licence(model, route.digest, telemetry)
        return EdgeTier(model.name, self.predictor, licence, model.session.digest)

    def _licence(self, model: Model, central_digest: str, telemetry: Telemetry) -> Licence:
        certificate = self.certificates[model.name]
        score, threshold, proof = DEFAULT_SCORE, None, ""
        if isinstance(certificate, str):
            refusal = certificate
        else:
            refusal = self._refusal(certificate, model, central_digest) or ""
            threshold = None if refusal else certificate.threshold
            score = certificate.score if certificate.score in MEASURES else DEFAULT_SCORE
            proof = sha256(msgspec.json.encode(certificate)).hexdigest()
        # With the artefact: another file that is loaded under the same certificate has another licence.
        key = (model.name, model.session.digest, proof or refusal, central_digest)
        if key not in self.licences:
            self.licences[key] = Licence(
                model.name,
                measure=MEASURES[score],
                output=score_output(model.spec, self.settings.score_outputs.get(model.name, "")),
                threshold=threshold,
                refusal=refusal,
                edge_digest=model.session.digest,
                central_digest=central_digest,
                proof=proof,
                telemetry=telemetry,
            )
        return self.licences[key]

    def _refusal(self, certificate: Certificate, model: Model, central_digest: str) -> str | None:
        # A route without a digest cannot say what central serves, so nothing proves that it is the one.
        return mismatch(
            certificate,
            edge_digest=model.session.digest,
            central_digest=central_digest,
            score=certificate.score if certificate.score in MEASURES else "",
            instruction_set=self.instruction_set,
            onnxruntime=onnxruntime.__version__,
            model=model.name,
            max_alpha=self.settings.max_alpha,
            max_delta=self.settings.max_delta,
        )


def _certificate(folder: Path | None, name: str) -> Certificate | str:
    """Return the certificate of a model, or one word for why there is none."""
    if folder is None or not (folder / f"{name}.json").exists():
        return "missing"
    try:
        return load_certificate(folder / f"{name}.json")
    except ValueError as error:
        _LOG.warning("%s", error)
        return _UNREADABLE
