"""Which answers may be in a region."""

from __future__ import annotations

import pytest

from cache.warming.residency import may_be_in

REGIONS = {"eu-only": {"eu"}, "west": {"eu", "us"}, "nowhere": frozenset[str]()}


@pytest.mark.parametrize(
    ("region", "residency", "is_allowed"),
    [
        ("eu", "eu-only", True),
        ("us", "eu-only", False),
        ("us", "west", True),
        ("us", "eu-only&west", False),
        ("eu", "eu-only&west", True),
        ("eu", "nowhere", False),
        ("eu", "unknown", False),
        ("eu", "", False),
        ("eu", "west&", False),
    ],
)
def test_every_class_that_met_has_to_allow_it(region: str, residency: str, is_allowed: bool) -> None:
    """What is not known allows nothing."""
    assert may_be_in(region, residency, REGIONS) is is_allowed
