"""Decisions for tests that are about something else.

Example::

    decision("probabilities", exact=("label",), left_out=("embedding",))
"""

from __future__ import annotations

from edge_models.decision import Decision
from edge_models.tasks.classification import Multiclass
from edge_models.tasks.plain import Exact


def decision(
    name: str = "probabilities", *, exact: tuple[str, ...] = (), left_out: tuple[str, ...] = ()
) -> Decision:
    """One of several classes, with labels beside it, scored by the likeliest class."""
    return Decision(
        task="multiclass",
        outputs=(*(Exact(name=label) for label in exact), Multiclass(name=name, values="probabilities")),
        left_out=left_out,
        score="max_probability",
        score_output="",
    )
