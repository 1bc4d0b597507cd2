"""Which requests make a batch, and how it is run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.batch import batch_length, run_batch
from gateway.core.errors import Fault, GatewayError


@pytest.mark.parametrize(
    ("rows", "preferred", "late", "count"),
    [
        ([1], {8}, False, 0),
        ([1], {8}, True, 1),
        ([1] * 8, {8}, False, 8),
        ([1] * 9, {8}, False, 8),
        ([1] * 7, {4, 8}, False, 4),
        ([1] * 7, {4, 8}, True, 7),
        ([1] * 3, {4, 8}, False, 0),
        ([3, 3, 3], {8}, False, 2),
        ([3, 3], {4}, False, 2),
        ([3, 3], {8}, False, 0),
        ([5, 9], {8}, False, 1),
        ([8], {8}, False, 1),
    ],
)
def test_batch_length(rows, preferred, late, count):
    """A preferred size runs at once; a full or a late batch runs as it is; all else waits."""
    assert batch_length(rows, frozenset(preferred), 8, late=late) == count


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=30),
    st.sets(st.integers(1, 8), min_size=1),
    st.booleans(),
)
def test_a_batch_is_a_prefix_that_fits(rows, preferred, late):
    """Never more rows than allowed, never nothing when the first is late, never waiting when full."""
    count = batch_length(rows, frozenset(preferred), 8, late=late)

    assert sum(rows[:count]) <= 8
    assert count >= late
    if sum(rows) > 8:
        assert count


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_rows_come_back_to_whom_they_belong(counts):
    """Splitting the joined answer gives each request what it would have had alone."""
    feeds = [{"x": np.random.default_rng(i).normal(size=(n, 3))} for i, n in enumerate(counts)]

    outcomes, spent = run_batch(lambda feed: [feed["x"] * 2, feed["x"][:, 0]], feeds, counts)

    assert 0 <= spent.input_s + spent.output_s <= spent.total_s
    for feed, (doubled, first) in zip(feeds, outcomes, strict=True):
        assert np.array_equal(doubled, feed["x"] * 2)
        assert np.array_equal(first, feed["x"][:, 0])


def test_a_run_that_fails_is_repeated_alone():
    """One bad request of three fails alone, whatever it raised; a foreign error becomes INTERNAL."""

    def run(feed):
        if (feed["x"] < 0).any():
            raise GatewayError(Fault.INVALID, "negative")
        if (feed["x"] > 9).any():
            raise ZeroDivisionError
        return [feed["x"]]

    values = (1, -1, 10)
    outcomes, _ = run_batch(run, [{"x": np.full((1, 1), value)} for value in values], [1, 1, 1])

    assert outcomes[0][0].tolist() == [[1]]
    assert repr(outcomes[1]) == "GatewayError(invalid, 'negative')"
    assert repr(outcomes[2]) == "GatewayError(internal, 'the model failed to run', counts)"


def test_an_output_without_a_row_for_each_row_is_never_split():
    """A model that sums over the batch gives each request its own sum."""
    feeds = [{"x": np.full((2, 1), value)} for value in (1, 10)]

    outcomes, _ = run_batch(lambda feed: [feed["x"].sum(axis=0, keepdims=True)], feeds, [2, 2])

    assert [outcome[0].tolist() for outcome in outcomes] == [[[2]], [[20]]]


def test_one_request_is_not_copied():
    """Alone, a request's arrays go to the run as they are."""
    array, seen = np.zeros((1, 1)), []

    run_batch(lambda feed: seen.append(feed["x"]) or [feed["x"]], [{"x": array}], [1])

    assert seen[0] is array
