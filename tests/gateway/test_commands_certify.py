"""Certifying a pair of models."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from edge_models.certify import sample_digest
from edge_models.samples import digits
from edge_models.session import Session
from gateway.commands.certify import certify_models

EDGE, CENTRAL = map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY))


def test_certificate_is_bound_to_what_was_run() -> None:
    """It names both artefacts, the sample and the runtime, and progress is told row by row."""
    sample = digits.as_input(digits.load_split("calibration")[0][:100])
    told: list[int] = []

    proof = certify_models("digits", EDGE, CENTRAL, sample, alpha=0.1, advance=told.append)

    assert (proof.model, proof.n, proof.alpha) == ("digits", 100, 0.1)
    assert (proof.edge_digest, proof.central_digest) == (Session(EDGE).digest, Session(CENTRAL).digest)
    assert (proof.sample_digest, proof.onnxruntime) == (sample_digest(sample), onnxruntime.__version__)
    assert told == [64, 36, 64, 36]


def test_sample_of_another_shape_is_refused() -> None:
    """The message says what is there and what the model takes."""
    with pytest.raises(ValueError, match=r"the sample is FP32 \[4, 3\].* is FP32 \[-1, 784\]"):
        certify_models("digits", EDGE, CENTRAL, np.zeros((4, 3), np.float32))
