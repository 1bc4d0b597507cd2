"""Random pairs of models, by what they would answer to a pool of requests: for tests of the promise.

Example::

    decision, edge, central = PAIRS["binary"](np.random.default_rng(1), 4000)
    decision.confidences(edge), decision.differs(edge, central)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator

from edge_models.decision import Decision, Output
from edge_models.tasks.classification import Binary, Multiclass, Multilabel
from edge_models.tasks.plain import Embedding, Exact, Regression
from edge_models.tasks.probabilities import sigmoid, softmax
from edge_models.tasks.sequence import Sequence
from gateway.core.tensor import Array

Outputs = dict[str, Array]
Pair = tuple[Decision, Outputs, Outputs]


def noisy(chance: Generator, central: Array) -> Array:
    """Return what a worse model gives: near central's, with ties, now and then NaN, seldom with no relation."""
    noise = chance.normal(0, chance.uniform(0.05, 1.5), central.shape)
    edge = central + noise * chance.uniform(0, 1, (len(central), *[1] * (central.ndim - 1)))
    if chance.random() < 0.3:
        edge = edge.round()
    if chance.random() < 0.1:
        edge = -edge if chance.random() < 0.5 else np.roll(edge, 1, axis=-1)
    edge[chance.random(len(edge)) < 0.01] = np.nan
    return edge


def decision(task: Any, rule: Output, score: str, score_output: str = "") -> Decision:
    return Decision(task=task, outputs=(rule,), left_out=(), score=score, score_output=score_output)


def logits(chance: Generator, shape: tuple[int, ...]) -> tuple[Array, Array]:
    central = chance.normal(0, chance.uniform(1, 4), shape)
    edge = noisy(chance, central)
    central[chance.random(len(central)) < 0.003] = np.nan
    return edge, central


def given(
    chance: Generator, edge: Array, central: Array, link: Callable[[Array], Array]
) -> tuple[str, Array, Array]:
    """Return both as logits, or as the probabilities that ``link`` makes of them."""
    if chance.random() < 0.5:
        return "logits", edge, central
    return "probabilities", link(edge).astype(np.float32), link(central).astype(np.float32)


def multiclass(chance: Generator, rows: int) -> Pair:
    edge, central = logits(chance, (rows, int(chance.integers(2, 7))))
    values, edge, central = given(chance, edge, central, softmax)
    made = decision("multiclass", Multiclass(name="o", values=values), str(chance.choice(Multiclass.SCORES)))
    return made, {"o": edge}, {"o": central}


def binary(chance: Generator, rows: int) -> Pair:
    edge, central = logits(chance, (rows, 1))
    values, edge, central = given(chance, edge, central, sigmoid)
    rule = Binary(name="o", values=values, threshold=float(chance.uniform(0.2, 0.8)))
    return decision("binary", rule, str(chance.choice(Binary.SCORES))), {"o": edge}, {"o": central}


def multilabel(chance: Generator, rows: int) -> Pair:
    edge, central = logits(chance, (rows, int(chance.integers(1, 6))))
    values, edge, central = given(chance, edge, central, sigmoid)
    per = str(chance.choice(["set", "label"]))
    rule = Multilabel(name="o", values=values, threshold=0.5, per=per)
    return decision("multilabel", rule, str(chance.choice(Multilabel.SCORES))), {"o": edge}, {"o": central}


def with_spread(chance: Generator, rule: Output, task: str, edge: Array, central: Array) -> Pair:
    """Return a pair whose edge has an output that tells, more or less well, how far it is off."""
    away = np.abs(edge - central).reshape(len(edge), -1).mean(axis=1)
    spread = away * chance.uniform(0.2, 5, len(away)) + chance.uniform(0, 0.2)
    members = np.stack([spread, -spread], axis=1) if chance.random() < 0.5 else spread[:, np.newaxis]
    return decision(task, rule, "spread", "s"), {"o": edge, "s": members}, {"o": central}


def regression(chance: Generator, rows: int) -> Pair:
    edge, central = logits(chance, (rows, int(chance.integers(1, 3))))
    rule = Regression(
        name="o", absolute=float(chance.uniform(0.1, 1)), relative=float(chance.choice([0, 0.1]))
    )
    return with_spread(chance, rule, "regression", edge, central)


def embedding(chance: Generator, rows: int) -> Pair:
    edge, central = logits(chance, (rows, 8))
    rule = Embedding(name="o", cosine=float(chance.uniform(0.9, 0.999)))
    return with_spread(chance, rule, "embedding", edge, central)


def sequence(chance: Generator, rows: int) -> Pair:
    edge, central = logits(chance, (rows, int(chance.integers(2, 5)), 3))
    values, edge, central = given(chance, edge, central, softmax)
    rule = Sequence(name="o", values=values, alphabet=("", "a", "b"), blank=0)
    return decision("sequence", rule, str(chance.choice(Sequence.SCORES))), {"o": edge}, {"o": central}


def exact(chance: Generator, rows: int) -> Pair:
    edge, central = logits(chance, (rows, 2))
    return with_spread(chance, Exact(name="o"), "exact", np.round(edge / 3), np.round(central / 3))


PAIRS: dict[str, Callable[[Generator, int], Pair]] = {
    "multiclass": multiclass,
    "binary": binary,
    "multilabel": multilabel,
    "regression": regression,
    "embedding": embedding,
    "sequence": sequence,
    "exact": exact,
}
