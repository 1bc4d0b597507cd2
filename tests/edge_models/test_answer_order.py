"""Answers in the order in which batches began."""

from __future__ import annotations

from itertools import permutations

import pytest

from edge_models.answer_order import AnswerOrder


@pytest.mark.parametrize("ends", list(permutations(range(3))))
def test_no_answer_overtakes_another(ends):
    """Whichever batch ends first, and each is answered as soon as that is possible."""
    order, answered = AnswerOrder(), []
    for batch in range(3):
        order.begin(batch)

    for count, batch in enumerate(ends, 1):
        order.end(batch, lambda batch=batch: answered.append(batch))
        possible = next(length for length in range(4) if length == 3 or length not in ends[:count])
        assert answered == list(range(possible))

    assert repr(order) == "<AnswerOrder 0 begun, 0 held back>"


def test_what_is_held_back_is_named():
    """In the logs it can be seen."""
    order = AnswerOrder()
    order.begin("first")
    order.begin("second")

    order.end("second", lambda: None)

    assert repr(order) == "<AnswerOrder 2 begun, 1 held back>"
