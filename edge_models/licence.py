"""What a certificate allows the edge model to answer by itself, and when that ends."""

from __future__ import annotations

import logging
from typing import Final

from edge_models.confidence import Measure
from edge_models.errors import ModelError
from gateway.core.catalog import ModelSpec
from gateway.core.request import CENTRAL, Response
from gateway.core.telemetry import CertificateRefused, Telemetry
from gateway.core.tensor import Tensor

_SCORABLE: Final = ("FP16", "FP32", "FP64")
_log = logging.getLogger(__name__)


def score_output(spec: ModelSpec, wanted: str = "") -> str:
    """Return the name of the output that is scored: ``wanted``, else the first float [rows, classes].

    Raises:
        ModelError: when the model has no such output.
    """
    for output in spec.outputs:
        if wanted in {"", output.name} and len(output.shape) == 2 and output.datatype in _SCORABLE:
            return output.name
    which = f"output '{wanted}'" if wanted else "output"
    raise ModelError(f"model '{spec.name}' has no float {which} of shape [rows, classes] to score")


class Licence:
    """The edge model's licence to answer for one model.

    It learns at run time that central serves another model than the certificate's, so it has to outlive
    the stacks that use it: whoever builds them keeps it for as long as the digests stay the same.

    Args:
        model: name of the model.
        measure: one of ``edge_models.confidence.MEASURES``, the one that the certificate names.
        output: name of the output that is measured.
        threshold: least confidence with which the edge answers; None when there is no valid certificate.
        refusal: the certificate's field that differed, or another word why ``threshold`` is None.
        edge_digest: of the artefact that the certificate names; empty: not checked.
        central_digest: likewise.
        proof: names the certificate (its digest); empty without one.
        telemetry: hears of every refusal, once.
    """

    def __init__(
        self,
        model: str,
        *,
        measure: Measure,
        output: str,
        threshold: float | None,
        telemetry: Telemetry,
        refusal: str = "missing",
        edge_digest: str = "",
        central_digest: str = "",
        proof: str = "",
    ) -> None:
        self._model = model
        self._measure = measure
        self._output = output
        self._threshold = threshold
        self._telemetry = telemetry
        self._edge_digest = edge_digest
        self._central_digest = central_digest
        self._refused: set[str] = set()
        self._certificate, self._proof = proof, proof
        if threshold is None:
            self._tell(refusal, "")

    def __repr__(self) -> str:
        if self._threshold is None:
            return f"<Licence {self._model} refused>"
        refused = f" refused for version {sorted(self._refused)}" if self._refused else ""
        return f"<Licence {self._model} from {self._threshold}{refused}>"

    def proof(self) -> str:
        """Return what answers under this licence are kept by; another one as soon as it is refused."""
        return self._proof

    def is_valid(self, version: str = "") -> bool:
        """Whether any answer to requests for ``version`` (empty: none named) may be covered."""
        return self._threshold is not None and version not in self._refused

    def covers(self, answer: Response) -> bool:
        """Whether every row of the edge's answer is scored at least the threshold. NaN never is."""
        if self._threshold is None or (self._edge_digest and answer.provenance.digest != self._edge_digest):
            return False
        scores = next((output for output in answer.outputs if output.name == self._output), None)
        return scores is not None and _all_reach(scores, self._measure, self._threshold)

    def compare(self, answer: Response, version: str) -> None:
        """Look at what central answered to a request for ``version``; refuse it if the model is another.

        Kept by requested version: two versions at central are two models, and a client that asks for the
        older one by name must not end the licence for everybody else.
        """
        source = answer.provenance
        if source.origin != CENTRAL or not source.digest or not self._central_digest:
            return
        if source.digest != self._central_digest and self.is_valid(version):
            self._refused.add(version)
            self._proof = f"{self._certificate} refused for {sorted(self._refused)}"
            self._tell("central_digest", version)

    def _tell(self, field: str, version: str) -> None:
        which = f"'{self._model}' version {version}" if version else f"'{self._model}'"
        _log.warning("certificate of model %s refused (%s): every request is deferred", which, field)
        self._telemetry.emit(CertificateRefused(self._model, field))


def _all_reach(output: Tensor, measure: Measure, threshold: float) -> bool:
    array = output.numpy()
    # Most requests have few rows, for which Python's comparison is quicker than numpy's.
    return array.ndim == 2 and all(score >= threshold for score in measure(array).tolist())
