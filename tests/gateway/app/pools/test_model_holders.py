"""Which endpoints are known not to hold a model."""

from __future__ import annotations

import pytest

from gateway.app.pools.model_holders import MOST, NOTHING_KNOWN, ModelHolders
from gateway.app.pools.pool_models import ModelChanges, PoolModels
from routing.holdings import Holdings
from tests.gateway.app.pools.test_pool_models import HELD, OTHER, Member


class Pool:
    """An endpoint whose members hold ``holdings``; those that are ``out`` answer nothing."""

    def __init__(self, changes: ModelChanges, *holdings: Holdings | None) -> None:
        self.members = [Member(each) for each in holdings]
        self.out: set[int] = set()
        self.models = PoolModels((), lambda: self.members, changes)
        self.looks = 0

    def can_answer(self, model: str, version: str) -> bool:
        self.looks += 1
        may_hold = self.models.may_hold
        return any(
            may_hold(each, model, version)
            for number, each in enumerate(self.members)
            if number not in self.out
        )


class Scene:
    """Three endpoints: one that holds ``HELD``, one whose members differ, one of which nothing is known."""

    def __init__(self) -> None:
        self.changes = ModelChanges()
        self.pools = {
            "same": Pool(self.changes, HELD, HELD),
            "mixed": Pool(self.changes, HELD, OTHER),
            "open": Pool(self.changes, None),
        }
        self.known = ModelHolders(self.pools, self.changes)


@pytest.mark.parametrize(
    ("model", "version", "lacking"),
    [
        ("digits", "", set()),
        ("digits", "1", set()),
        ("digits", "3", {"same", "mixed"}),
        ("echo", "", {"same"}),
        ("nothing", "", {"same", "mixed"}),
    ],
)
def test_lacking(model: str, version: str, lacking: set[str]) -> None:
    """Those at which no member may hold it."""
    assert Scene().known.lacking(model, version) == lacking


def test_a_pool_lacks_what_its_members_that_are_out_hold() -> None:
    """Others would answer that there is no such model; as soon as one is back it is asked again."""
    scene = Scene()
    scene.pools["mixed"].out = {1}
    assert scene.known.lacking("echo", "") == {"same", "mixed"}

    scene.pools["mixed"].out = {0}
    assert scene.known.lacking("echo", "") == {"same"}


def test_it_is_found_once() -> None:
    """Until something changes; the members of pools that differ are looked at each time."""
    scene = Scene()
    first = scene.known.lacking("nothing", "")
    assert scene.known.lacking("nothing", "") is first
    assert [pool.looks for pool in scene.pools.values()] == [0, 0, 0]

    scene.pools["open"].members[0].holdings = OTHER
    scene.changes.note()

    assert scene.known.lacking("nothing", "") == {"same", "mixed", "open"}


def test_names_that_clients_invent_are_forgotten() -> None:
    """What is remembered has a bound, and each answer is right all the same."""
    scene = Scene()
    for number in range(3 * MOST):
        assert scene.known.lacking(f"m{number}", "") == {"same", "mixed"}

    assert repr(scene.known) == f"<ModelHolders of 3 endpoints, {MOST} models found>"
    assert scene.known.lacking("echo", "") == {"same"}


def test_nothing_known() -> None:
    """Without a policy nobody lacks anything."""
    assert NOTHING_KNOWN.lacking("any", "1") == frozenset()
