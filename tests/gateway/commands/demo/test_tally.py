"""The demo's counting and its promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from gateway.commands.demo.player import Row
from gateway.commands.demo.tally import Outage, Tally, Truth, tally

TRUTH = Truth(labels=np.array([0, 1, 2, 3]), central=np.array([0, 1, 2, 9]))
GATEWAY_DOWN = Outage("gateway_down", "eu-west", 10.0, 14.0)
OUTAGES = (Outage("central_down", "", 2.0, 7.0), GATEWAY_DOWN)


def row(began: float = 1.0, **changes: Any) -> Row:
    """A good answer to image 0 in 5 ms."""
    fields: dict[str, Any] = {
        "player": "eu-west",
        "began": began,
        "ended": began + 0.005,
        "image": 0,
        "predicted": 0,
        "served_by": "eu-west",
        "provenance": "l1",
        "certified": True,
        "protocol": "http",
        "attempt": 0,
        "error": "",
    }
    return Row(**{**fields, **changes})


def good_run() -> list[Row]:
    """Twenty answers in which every promise is kept."""
    rows = [row(1 + i / 100) for i in range(17)]
    rows += [
        row(3.0, provenance="edge"),
        row(4.0, provenance="edge", certified=False),
        row(8.0, provenance="central"),
    ]
    rows += [
        row(10.01, error="refused", ended=10.02),
        row(10.03, attempt=1, served_by="us-east", ended=10.05),
    ]
    rows += [row(11 + i / 100, served_by="us-east") for i in range(5)]
    return rows


def count(rows: list[Row]) -> Tally:
    return tally(rows, OUTAGES, TRUTH)


def test_counts() -> None:
    """Every figure is what the rows say."""
    result = count(good_run())

    assert (result.requests, result.failed) == (26, 1)
    assert result.per_region == {"eu-west": 20, "us-east": 6}
    assert result.answered_by == {"l1": 23, "warm": 0, "l2": 0, "edge": 2, "central": 1, "stale": 0}
    assert result.cache_hit_rate == pytest.approx(23 / 26, abs=1e-4)
    assert result.edge_share_of_computed == pytest.approx(2 / 3, abs=1e-4)
    assert result.uncertified == 1
    assert result.requests_per_phase == {"steady": 18, "central_down": 2, "gateway_down": 6}
    assert result.p50_ms["steady"] == pytest.approx(5, abs=0.01)
    assert result.failover == {"detected_ms": 50.0, "failed_requests": 1}
    assert result.broken_promises == []


def test_accuracy_weighs_each_answer_and_compares_with_central() -> None:
    """Image 3 is wrong at central: agreeing with it costs accuracy but is no disagreement."""
    result = count([*good_run(), row(image=3, predicted=9), row(image=1, predicted=2)])

    assert result.accuracy == pytest.approx(26 / 28, abs=1e-4)
    assert result.accuracy_central_alone == pytest.approx(27 / 28, abs=1e-4)
    assert result.disagreement_with_central == pytest.approx(1 / 28, abs=1e-4)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ([row(3.0, error="503", ended=3.1), row(3.2, attempt=1)], "failed requests outside"),
        ([row(11.5, error="reset", ended=11.6), row(11.7, attempt=1)], "failed requests outside"),
        ([row(10.5, error="reset", ended=10.6)], "1 requests were never answered"),
        ([row(image=1, predicted=0)] * 5, "accuracy"),
        ([row(provenance="edge")] * 5, "cache hit rate"),
        ([row(provenance="central")], "the edge computed"),
        ([row(provenance="")], "did not say where they came from"),
    ],
)
def test_each_promise_can_be_broken(extra: list[Row], says: str) -> None:
    """A run that breaks one promise is told so."""
    assert any(says in promise for promise in count([*good_run(), *extra]).broken_promises)


def test_phase_without_answers_is_a_broken_promise() -> None:
    """A fault that no request met proves nothing."""
    rows = [good for good in good_run() if not 2 <= good.began < 7]

    assert "no request was answered in phase central_down" in count(rows).broken_promises


def test_clients_that_never_moved_have_no_detection_time() -> None:
    """Without a fail-over there is no figure to be proud of."""
    rows = [msgspec.structs.replace(good, served_by="eu-west") for good in good_run()]

    assert count(rows).failover["detected_ms"] == -1.0
    assert tally(rows, (replace(GATEWAY_DOWN, phase="central_down"),), TRUTH).failover["detected_ms"] == 0.0


def test_nothing_played_is_no_division_by_zero() -> None:
    """An empty run is reported, not raised."""
    result = count([])

    assert result.cache_hit_rate == 0.0
    assert result.broken_promises


def test_answers_that_cannot_be_true_while_central_is_down() -> None:
    """Nobody is answered by a tier that is down, and somebody must have been told that nobody vouches."""
    lie = [*good_run(), row(4.0, provenance="central")]
    silence = [msgspec.structs.replace(good, certified=True) for good in [*good_run(), row(4.0)]]

    assert "1 answers claimed to come from central while it was down" in count(lie).broken_promises
    assert "no answer said that it is uncertified while central was down" in count(silence).broken_promises


def test_a_tier_that_was_started_again_may_answer_before_it_is_seen_to_be_ready() -> None:
    """It is down until then, not until somebody noticed."""
    early, late = row(4.0, provenance="central"), row(6.5, provenance="central")
    down = replace(OUTAGES[0], restarted=6.0)

    promises = [
        tally([*good_run(), each], (down, GATEWAY_DOWN), TRUTH).broken_promises for each in (early, late)
    ]

    assert "1 answers claimed to come from central while it was down" in promises[0]
    assert not any("claimed" in promise for promise in promises[1])
