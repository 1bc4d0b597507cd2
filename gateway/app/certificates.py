"""The certificates of this process's models as they are on disk: read in a thread, handed on as a value."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_models.certificate import Certificate, load_certificate

_LOG: Final = logging.getLogger("edgeway.models")

UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a model has no certificate: ``reason`` is a key of ``REASONS``, ``detail`` the reader's message."""

    reason: str
    detail: str = ""


Certificates = Mapping[str, Certificate | Unusable]
"""Model → its certificate, or why it has none."""

MISSING: Final = Unusable("missing")

REASONS: Final[Mapping[str, str]] = {
    "missing": "there is no certificate for this model",
    UNREADABLE: "the certificate file cannot be used",
    "model": "the certificate names another model",
    "edge_digest": "the edge serves another artefact than the certified one",
    "central_digest": "the route names, or central answers with, another artefact than the certified one",
    "instruction_set": "the certificate was made on a machine with another instruction set",
    "provider": "the certificate was made with another execution provider (CPU, CUDA) for the edge model",
    "onnxruntime": "the certificate was made with another version of ONNX Runtime",
    "inputs": "the edge model's inputs are not the certified ones",
    "outputs": "the edge model's outputs are not the certified ones",
    "coverage": "the certificate proves no threshold safe",
    "alpha": "the certificate allows more risk than `models.max_alpha`",
    "delta": "the certificate leaves more doubt than `models.max_delta`",
}
"""Why the edge model does not answer by itself: the certificate's field that does not fit → a sentence."""


def certificate_file(folder: Path, model: str) -> Path:
    """Return the path of the certificate of ``model``."""
    return folder / f"{model}.json"


def read_certificates(folder: Path | None, models: Iterable[str]) -> Certificates:
    """Read the certificates of ``models`` in ``folder``; it blocks, so call it in a thread."""
    return {model: _read(folder, model) for model in models}


def keep_usable(in_use: Certificates, found: Certificates) -> Certificates:
    """Return ``found`` over ``in_use``; where the file found cannot be read, the certificate in use stays.

    The file may be in the middle of being written, so it is treated as a broken policy file would be.
    """
    kept = dict(in_use)
    for model, certificate in found.items():
        if isinstance(certificate, Unusable) and certificate.reason == UNREADABLE:
            _LOG.warning("%s", certificate.detail)
            if isinstance(in_use.get(model), Certificate):
                _LOG.error("the certificate in use for %s stays", model)
                continue
        kept[model] = certificate
    return kept


def _read(folder: Path | None, model: str) -> Certificate | Unusable:
    if folder is None or not (file := certificate_file(folder, model)).exists():
        return MISSING
    try:
        return load_certificate(file, within=folder)
    except ValueError as error:
        return Unusable(UNREADABLE, str(error))
