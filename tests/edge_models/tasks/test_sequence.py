"""Texts by CTC's greedy decoding."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_models.tasks.sequence import Sequence
from gateway.core.tensor import Array

RULE = Sequence(name="o", values="probabilities", alphabet=("-", "a", "b"), blank=0)


def frames(*symbols: int, sure: float = 0.8) -> Array:
    """Return [1, frames, 3] whose likeliest symbols these are."""
    rows = np.full((1, len(symbols), 3), (1 - sure) / 2)
    rows[0, np.arange(len(symbols)), symbols] = sure
    return rows


@pytest.mark.parametrize(
    ("symbols", "text"),
    [
        ([1, 1, 0, 1, 2], "aab"),
        ([0, 0, 0], ""),
        ([1, 2, 2, 0, 0, 2], "abb"),
        ([2], "b"),
    ],
)
def test_repeats_are_one_and_blanks_none(symbols: list[int], text: str) -> None:
    """A blank between two of a kind makes them two."""
    assert RULE.decode(frames(*symbols)) == [text]


def test_another_number_of_frames_may_spell_the_same() -> None:
    """What counts is the text."""
    assert RULE.differs(frames(1, 0, 2), frames(1, 1, 0, 0, 2)).tolist() == [[False]]
    assert RULE.differs(frames(1, 0, 2), frames(1, 0, 1)).tolist() == [[True]]


def test_another_blank() -> None:
    """Some models have it last."""
    rule = Sequence(name="o", values="logits", alphabet=("a", "b", ""), blank=2)

    assert rule.decode(frames(0, 2, 0, 1)) == ["aab"]
    assert str(rule) == "sequence of 3 symbols, of which number 2 is the blank, softmax applied"


def test_it_is_as_sure_as_its_least_sure_token() -> None:
    """A token, of blanks as well, is as sure as its surest frame."""
    spelled = np.concatenate(
        [frames(1, sure=0.5), frames(1, sure=0.9), frames(0, sure=0.7), frames(2)], axis=1
    )

    assert RULE.scores(spelled, "max_probability").tolist() == [pytest.approx(0.7)]


def test_not_a_number_is_not_sure_and_like_nothing() -> None:
    """Wherever in the row it is."""
    ill = frames(1, 1, 2)
    ill[0, 1, 0] = math.nan

    assert np.isnan(RULE.scores(ill, "margin")).all()
    assert RULE.differs(frames(1, 1, 2), ill).tolist() == [[True]]


@pytest.mark.parametrize("shape", [(2, 3), (2, 0, 3), (2, 4, 5)])
def test_an_output_of_another_shape_is_never_sure(shape: tuple[int, ...]) -> None:
    """Nor one with other symbols, nor one without a frame."""
    assert np.isnan(RULE.scores(np.ones(shape), "max_probability")).all()


def test_what_it_cannot_read() -> None:
    """Symbols must be as many as the alphabet has."""
    assert "has 5 symbols, but the alphabet has 3" in RULE.problem(np.ones((2, 4, 5)))
    assert "[rows, frames, symbols]" in RULE.problem(np.ones((2, 4)))
    assert "are they logits" in RULE.problem(np.ones((2, 4, 3)))
    assert not RULE.problem(frames(1, 2))
    assert RULE.decode(np.eye(5)[np.newaxis]) == ["ab\ufffd\ufffd"]


def test_masked_symbols_are_no_fault() -> None:
    """Minus infinity is what a mask writes; a frame with nothing else spells nothing."""
    masked = np.log(np.maximum(frames(1, 1, 2), 0.0) + 1e-9)
    masked[:, :, 0] = -np.inf
    nothing = masked.copy()
    nothing[0, 1] = -np.inf

    assert RULE.differs(masked, masked).tolist() == [[False]]
    assert RULE.differs(nothing, nothing).tolist() == [[True]]
