"""Drawing members by weight."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from routing.pools.drawing import Urn, least
from tests.routing.pools.members import Still, anyone, stills

DRAWS = 20_000


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 7), (1000, 1)])
def test_draws_each_as_often_as_its_weight_has_it(weights):
    urn = Urn([Still(str(i), weight) for i, weight in enumerate(weights)], Random(1))
    drawn = Counter(urn.draw() for _ in range(DRAWS))
    for position, weight in enumerate(weights):
        share = weight / sum(weights)
        sigma = (DRAWS * share * (1 - share)) ** 0.5
        assert abs(drawn[position] - DRAWS * share) <= 3 * sigma


@pytest.mark.parametrize("weights", [(1, 1), (1, 1, 1), (1, 2, 7), (1000, 1), (1000, 1, 1)])
def test_draws_another_one_beside_the_first(weights):
    urn = Urn([Still(str(i), weight) for i, weight in enumerate(weights)], Random(1))
    for first in range(len(weights)):
        others = {urn.draw_beside(first) for _ in range(3000)}
        assert others <= set(range(len(weights))) - {first}
        assert len(others) > 1 or max(weights) == 1000 or len(weights) == 2


def test_the_least_of_all_and_of_equal_ones_any():
    members = stills(5)
    members[3].cost = members[4].cost = 0.5
    found = {least(members, anyone, Random(seed)) for seed in range(30)}
    assert found == {members[3], members[4]}
    assert least(members, lambda member: member is members[0], Random(1)) is members[0]
    assert least(members, lambda _: False, Random(1)) is None
    assert least((), anyone, Random(1)) is None
