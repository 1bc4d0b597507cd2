"""What is told of a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtests.faults.scenarios import Scenario
from loadtests.faults.scene import Scene

SETTLED_S: Final = 3.0
"""After so long the faulty members' share is counted."""
FELT_S: Final = 0.5
"""An answer that took longer is felt; half of what one attempt may take."""

HEAD: Final = (
    f"| {'fault':43} | {'before':7} | requests | lost under way | lost later | felt for, s | share later | "
    "felt after, s |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """``under_way``, ``later``: failed, and sent before and after connections were cut.

    ``felt_s``: from the fault on until the last request that failed or took long was sent; ``after_s``: the
    same from its end on. ``share``: of the requests that came to members, those that came to the faulty ones,
    from 3 s on; after the fault where that is the point.
    """

    name: str
    subject: str
    requests: int
    under_way: int
    later: int
    felt_s: float
    share: str
    after_s: float
    may_fail: bool

    @property
    def is_bad(self) -> bool:
        """Whether Edgeway lost what it could have had answered."""
        return self.subject == "Edgeway" and self.later > 0 and not self.may_fail

    def __str__(self) -> str:
        return (
            f"| {self.name:43} | {self.subject:7} | {self.requests:,} | {self.under_way} | {self.later} | "
            f"{self.felt_s:.2f} | {self.share} | {self.after_s:.2f} |"
        )


def row_of(scenario: Scenario, subject: str, scene: Scene) -> Row:
    """Return what is told."""
    failed = [each for each in scene.outcomes if each.status != 200]
    under_way = [each for each in failed if any(each.sent <= cut <= each.ended for cut in scene.cuts)]
    felt = [each.sent for each in scene.outcomes if each.status != 200 or each.ended - each.sent > FELT_S]
    return Row(
        scenario.name,
        subject,
        len(scene.outcomes),
        len(under_way),
        len(failed) - len(under_way),
        max((sent - scene.began for sent in felt if scene.began <= sent <= scene.ended), default=0.0),
        _shares(scenario, scene),
        max((sent - scene.ended for sent in felt if sent > scene.ended), default=0.0),
        scenario.all_down,
    )


def _shares(scenario: Scenario, scene: Scene) -> str:
    if not scenario.after_s:
        return f"{_share(scenario, scene, scene.began + SETTLED_S, scene.ended):.1f} %"
    parts = (_share(scenario, scene, scene.ended + first, scene.ended + first + 2) for first in (0, 2, 4, 7))
    return ", ".join(f"{part:.0f}" for part in parts) + " % in s 0-2, 2-4, 4-6, 7-9"


def _share(scenario: Scenario, scene: Scene, since: float, until: float) -> float:
    came = [sum(since <= at <= until for at in member.came) for member in scene.members]
    return 100 * sum(came[number] for number in scenario.faulty) / max(1, sum(came))
