"""What the first step of a sequence has beside the inputs of its request: for runs that are nobody's step."""

from __future__ import annotations

import numpy as np

from edge_models.sequences.settings import SequenceSettings
from gateway.core.tensor import BYTES, DATATYPES, Array


def first_step(settings: SequenceSettings, rows: int) -> dict[str, Array]:
    """Return control inputs and initial states of ``rows`` sequences that begin; their id is 1.

    ``rows`` 0: there is no batch dimension.
    """
    feed: dict[str, Array] = {}
    for control, is_true in ((settings.start, True), (settings.end, False), (settings.ready, True)):
        if control is not None:
            feed[control.name] = control.true if is_true else control.false
    correlation = settings.correlation
    if correlation is not None:
        is_text = correlation.datatype == BYTES
        feed[correlation.name] = np.full(
            correlation.shape, b"1" if is_text else 1, object if is_text else DATATYPES[correlation.datatype]
        )
    feed |= {state.input_name: state.initial for state in settings.states}
    return {name: np.repeat(array, rows, axis=0) for name, array in feed.items()} if rows > 1 else feed
