"""Where clients are at home."""

from __future__ import annotations

import pytest

from routing.place import Place
from routing.rules.home import home
from tests.routing.policies import policy


@pytest.mark.parametrize(
    ("place", "region"),
    [
        (Place("DE", "EU"), "eu-west"),
        (Place("NA", "AF"), "eu-west"),
        (Place("IN", "AS"), "ap-south"),
        (Place("", "NA"), "us-east"),
        (Place("BR", "SA"), "ap-south"),
        (Place("AQ", "AN"), None),
        (Place(), None),
    ],
)
def test_country_goes_before_continent(place: Place, region: str | None) -> None:
    """The region that names the country wins over the one that names its continent."""
    regions = {
        "eu-west": {"serves": ["EU", "AF"]},
        "us-east": {"serves": ["NA", "SA"]},
        "ap-south": {"serves": ["AS", "OC", "BR"]},
    }

    assert home(policy(regions=regions), place) == region


def test_region_that_serves_nobody_is_nobodys_home() -> None:
    """Without ``serves`` there is no home."""
    assert home(policy(regions={"eu-west": {}}), Place("DE", "EU")) is None
