"""What a check raises."""

from __future__ import annotations

import pytest

from gateway.conformance.verdicts import CheckVerdict, Obligation, Violation, require


def test_a_rule_that_is_not_kept_is_a_violation() -> None:
    require(1, "kept")
    with pytest.raises(Violation, match="not kept"):
        require([], "not kept")


def test_words_of_the_reports() -> None:
    """Files and screens show these; programs read them."""
    assert [str(verdict) for verdict in CheckVerdict] == ["pass", "fail", "unsupported", "n/a"]
    assert [str(obligation) for obligation in Obligation] == ["required", "optional"]
