"""What is told of a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.faults.faulty_member import FaultyMember
from loadtests.faults.report import row_of
from loadtests.faults.scenarios import SCENARIOS
from loadtests.faults.scene import Outcome, Scene, Tiers


def scene(tmp_path: Path, *outcomes: Outcome) -> Scene:
    """A fault from 100 to 108; connections were cut as it began."""
    members = [FaultyMember("127.0.0.1", 1, 1) for _ in range(3)]
    return Scene(members, Tiers(tmp_path), tmp_path / "hosts", 100.0, 108.0, [100.0], list(outcomes))


def test_who_was_under_way_is_told_from_who_came_later(tmp_path: Path) -> None:
    """A request under way when connections are cut may be lost; one sent afterwards may not."""
    found = scene(
        tmp_path,
        Outcome(99.0, 99.1, 200),
        Outcome(99.9, 100.1, 503),
        Outcome(100.5, 100.6, 0),
        Outcome(101.0, 101.7, 200),
        Outcome(109.5, 110.5, 200),
    )

    row = row_of(SCENARIOS["region"], "Edgeway", found)

    assert (row.requests, row.under_way, row.later, row.felt_s, row.after_s) == (5, 1, 1, 1.0, 1.5)
    assert row.is_bad
    assert "| Edgeway | 5 | 1 | 1 | 1.00 | 0.0 % | 1.50 |" in str(row)


@pytest.mark.parametrize(
    ("name", "subject", "is_bad"),
    [("region", "Edgeway", True), ("region", "Envoy", False), ("all-down", "Edgeway", False)],
)
def test_what_is_bad(tmp_path: Path, name: str, subject: str, *, is_bad: bool) -> None:
    """A loss of ours, where somebody could have answered."""
    assert row_of(SCENARIOS[name], subject, scene(tmp_path, Outcome(101.0, 101.0, 503))).is_bad is is_bad


def test_shares_are_of_what_came_to_members(tmp_path: Path) -> None:
    """From 3 s on; after the fault, in pieces, where it is about that."""
    found = scene(tmp_path)
    found.members[0].came = [101.0, 104.0, 108.5]
    found.members[1].came = [104.0, 105.0, 106.0, 108.6, 109.0, 111.0]

    assert row_of(SCENARIOS["slow"], "Edgeway", found).share == "25.0 %"
    assert row_of(SCENARIOS["recovery"], "Edgeway", found).share.startswith("33, 0, 0, 0 %")
