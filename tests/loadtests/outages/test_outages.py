"""What is printed of an outage."""

from __future__ import annotations

from loadtests.outages.__main__ import OUTAGES, report_line
from loadtests.outages.world import Answer


def test_a_line_tells_who_felt_it_and_for_how_long() -> None:
    """Failures and answers without a certificate, and how long after the end the last of them was sent."""
    answers = [
        Answer(100.0, 200, certified=True),
        Answer(103.0, 503, certified=False, message="nobody is there"),
        Answer(105.2, 200, certified=False),
        Answer(109.0, 200, certified=True),
    ]

    line = report_line(OUTAGES["away"], answers, killed=102.0, back=105.0)

    assert line.split() == [*"away for 6 s 3.00 4 1 1 +0.20 | nobody is there".split()]


def test_an_outage_that_nobody_felt() -> None:
    """Nothing to say of it."""
    line = report_line(OUTAGES["endpoints"], [Answer(1.0, 200, certified=True)], killed=0.5, back=0.5)

    assert line.split()[-4:] == ["1", "0", "0", "+0.00"]
