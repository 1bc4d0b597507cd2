"""Which tensors of a graph belong to its sequences; more of it is in test_reading.py."""

from __future__ import annotations

import numpy as np

from edge_models.sequences.settings import (
    ControlInput,
    CorrelationInput,
    SequenceSettings,
    SequenceState,
)

ONE = np.ones((1, 1), np.int32)


def test_requests_have_neither_controls_nor_states():
    """The id, START, END, READY, and the inputs of states; of outputs those of states."""
    settings = SequenceSettings(
        start=ControlInput("start", ONE, ONE),
        end=ControlInput("end", ONE, ONE),
        ready=ControlInput("ready", ONE, ONE),
        correlation=CorrelationInput("id", "INT32", (1, 1)),
        states=(SequenceState("h_in", "h_out", ONE), SequenceState("c_in", "c_out", ONE)),
    )

    assert settings.hidden_inputs() == {"start", "end", "ready", "id", "h_in", "c_in"}
    assert settings.state_outputs() == {"h_out", "c_out"}
    assert "h_in" in repr(settings)
