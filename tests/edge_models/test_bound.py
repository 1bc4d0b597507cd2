"""The bound of a proportion, against scipy's, and how many rows it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edge_models.bound import binomial_cdf, rows_needed, upper_bound, upper_bounds


@given(n=st.integers(1, 50_000), share=st.floats(0, 1), delta=st.floats(0.001, 0.9))
def test_the_bound_is_clopper_pearson(n: int, share: float, delta: float) -> None:
    """It equals scipy's exact interval to about 1e-9, without scipy, and is 1 when all were errors."""
    errors = int(share * n)

    upper = upper_bound(errors, n, delta)

    oracle = 1.0 if errors == n else stats.beta.ppf(1 - delta, errors + 1, n - errors)
    assert upper == pytest.approx(oracle, rel=1e-9)


@given(n=st.integers(1, 2000), share=st.floats(0, 1), p=st.floats(1e-6, 1 - 1e-6))
def test_the_distribution_is_the_binomial(n: int, share: float, p: float) -> None:
    """Both tails, also where one of them is nothing."""
    k = min(int(share * n), n - 1)

    assert binomial_cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 100, 10_000_000])
def test_when_all_were_errors_anything_may_be(n: int) -> None:
    """The bound is 1; with one error less it is below."""
    assert upper_bound(n, n, 0.05) == upper_bound(n + 1, n, 0.05) == 1.0
    assert upper_bound(n - 1, n, 0.05) < 1.0


def test_many_counts_have_each_their_own_bound() -> None:
    """An array of counts keeps its shape."""
    assert upper_bounds([[0, 3], [3, 10]], 10, 0.05).tolist() == [
        [upper_bound(0, 10, 0.05), upper_bound(3, 10, 0.05)],
        [upper_bound(3, 10, 0.05), 1.0],
    ]


@pytest.mark.parametrize(("alpha", "least"), [(0.02, 149), (0.01, 299), (0.005, 598), (0.002, 1497)])
def test_rows_without_an_error(alpha: float, least: int) -> None:
    """ln(delta) / ln(1 - alpha), however few there are so far."""
    assert rows_needed(0, 10, alpha=alpha, delta=0.05) == least


@given(n=st.integers(50, 400), errors=st.integers(0, 4))
def test_so_many_rows_are_enough(n: int, errors: int) -> None:
    """The bound at the rate seen is within alpha there, and was not with a few less."""
    needed = rows_needed(errors, n, alpha=0.1, delta=0.05)

    assert needed is not None
    assert upper_bound(-(-errors * needed // n), needed, 0.05) <= 0.1


def test_no_number_of_rows_mends_a_rate_that_is_too_high() -> None:
    """At alpha and above the bound never gets there; just below it takes more rows than anybody has."""
    assert rows_needed(2, 100, alpha=0.02, delta=0.05) is None
    assert rows_needed(1_999, 100_000, alpha=0.02, delta=0.05) is None
