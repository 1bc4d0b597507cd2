"""What the members of a pool hold, together and each."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.app.pools.pool_models import Extent, ModelChanges, PoolModels, models_report
from routing.holdings import Holdings


@dataclass
class Member:
    """A member that holds ``holdings``."""

    holdings: Holdings | None = None


HELD = Holdings.listed(["digits:1", "digits:2"])
OTHER = Holdings.listed(["digits:2", "echo"])


class Pool:
    """Members, and what is known of them all."""

    def __init__(self, *holdings: Holdings | None, listed: tuple[str, ...] = ()) -> None:
        self.members = [Member(each) for each in holdings]
        self.changes = ModelChanges()
        self.models = PoolModels(listed, lambda: self.members, self.changes)


@pytest.mark.parametrize(
    ("holdings", "model", "version", "extent", "known"),
    [
        ((), "digits", "", Extent.EACH, False),
        ((None,), "digits", "", Extent.EACH, False),
        ((None, None), "digits", "", Extent.EACH, False),
        ((HELD,), "digits", "", Extent.EACH, True),
        ((HELD,), "digits", "1", Extent.EACH, True),
        ((HELD,), "digits", "3", Extent.NONE, False),
        ((HELD,), "echo", "", Extent.NONE, False),
        ((HELD, HELD), "echo", "", Extent.NONE, False),
        ((HELD, OTHER), "echo", "", Extent.SOME, True),
        ((HELD, OTHER), "digits", "1", Extent.SOME, True),
        ((HELD, OTHER), "digits", "2", Extent.EACH, True),
        ((HELD, OTHER), "nothing", "", Extent.NONE, False),
        ((HELD, None), "nothing", "", Extent.SOME, False),
        ((HELD, None), "digits", "", Extent.EACH, True),
    ],
)
def test_extent(
    holdings: tuple[Holdings | None, ...], model: str, version: str, extent: Extent, known: bool
) -> None:
    """Whoever is not known may hold a model; a pool without members may, too."""
    models = Pool(*holdings).models

    assert models.extent(model, version) is extent
    assert models.holds(model, version) is known
    assert models.are_different is (len(set(map(id, holdings))) > 1)


def test_the_list_of_a_policy_overrides_what_members_say() -> None:
    """It holds for each of them."""
    pool = Pool(HELD, None, listed=("echo",))

    assert pool.models.extent("echo", "") is Extent.EACH
    assert pool.models.extent("digits", "") is Extent.NONE
    assert not pool.models.are_different
    assert [pool.models.may_hold(each, "digits", "") for each in pool.members] == [False, False]
    assert pool.models.report() == {"models": ["echo"], "num_models": 1}
    assert repr(pool.models) == "<PoolModels listed>"


def test_members_of_their_own() -> None:
    """Each is asked about by itself where there is no list."""
    pool = Pool(HELD, None)

    assert [pool.models.may_hold(each, "echo", "") for each in pool.members] == [False, True]
    assert pool.models.report() == {}
    assert repr(pool.models) == "<PoolModels 2 different members>"


def test_what_is_known_changes_when_that_is_noted() -> None:
    """Requests look at nothing but one number in between."""
    pool = Pool(None)
    assert pool.models.extent("echo", "") is Extent.EACH
    pool.members[0].holdings = HELD
    assert pool.models.extent("echo", "") is Extent.EACH

    pool.changes.note()

    assert pool.models.extent("echo", "") is Extent.NONE
    assert repr(pool.changes) == "<ModelChanges 1>"


def test_a_report_has_an_end() -> None:
    """A server may hold thousands."""
    report = models_report(Holdings.listed([f"m{number:03}" for number in range(500)]))

    assert report["num_models"] == 500
    assert report["models"] == [f"m{number:03}" for number in range(32)]
