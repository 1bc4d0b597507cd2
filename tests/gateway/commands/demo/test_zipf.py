"""Popularity."""

from __future__ import annotations

import numpy as np

from gateway.commands.demo.zipf import zipf_order


def test_most_popular_item_has_its_share() -> None:
    """Rank k is asked for in proportion to k^-1.1."""
    order = zipf_order(2000, 200_000, seed=1)

    counts = np.sort(np.bincount(order, minlength=2000))[::-1] / len(order)
    weights = np.arange(1, 2001) ** -1.1
    expected = weights / weights.sum()
    assert np.allclose(counts[:10], expected[:10], rtol=0.05)


def test_fame_is_worldwide_but_order_is_not() -> None:
    """Two regions share the ranking and differ in the sequence; one seed always gives the same."""
    here, there = zipf_order(2000, 5000, seed=1), zipf_order(2000, 5000, seed=2)

    assert np.bincount(here).argmax() == np.bincount(there).argmax()
    assert (here != there).any()
    assert (here == zipf_order(2000, 5000, seed=1)).all()
