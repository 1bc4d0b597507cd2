"""The mark of outputs that an endpoint has classified."""

from __future__ import annotations

import numpy as np

from gateway.core.classes import CLASSIFICATION, classified, is_classified, unmarked
from gateway.core.tensor import NO_PARAMETERS, Tensor

TEXTS = Tensor.from_numpy("probabilities", np.array([b"0.9:1:dog"], dtype=object))
NUMBERS = Tensor.from_numpy("probabilities", np.ones((1, 3), np.float32))


def test_texts_are_marked_and_numbers_are_not() -> None:
    """A server that has not understood has sent the output itself."""
    marked = classified(TEXTS, 2)

    assert is_classified(marked) and marked.parameters == {CLASSIFICATION: 2}
    assert classified(NUMBERS, 2) is NUMBERS
    assert not is_classified(NUMBERS)


def test_clients_do_not_see_the_mark() -> None:
    told = Tensor("t", "BYTES", (1,), TEXTS.data, {"content_type": "str"})

    assert unmarked(classified(told, 1)) == told
    assert unmarked(classified(TEXTS, 1)).parameters is NO_PARAMETERS
