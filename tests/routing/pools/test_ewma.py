"""How loaded and how fast a member is."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.pools.ewma import AttemptEnd, LoadSettings, MemberLoad
from routing.pools.picking import PENALTY
from tests.routing.pools.members import Hand


@pytest.fixture
def clock() -> Hand:
    return Hand()


def answered(member: MemberLoad, clock: Hand, seconds: float, end: AttemptEnd = AttemptEnd.ANSWERED) -> None:
    started = member.started()
    clock.now += seconds
    member.ended(started, end)


def report(**values: float) -> Any:
    return SimpleNamespace(**{"application": None, "cpu": None, "rps": None, "eps": None, **values})


def test_a_member_that_has_not_answered_is_tried_once_and_then_has_the_default(clock):
    """Else it would never be tried where the others answer faster than the default."""
    member = MemberLoad("a:1", clock)
    assert member.cost == 0
    clock.now += 1000
    member.started()
    assert (member.cost, member.latency_s) == (0.020, 0.010)
    slow = MemberLoad("a:1", clock, LoadSettings(default_s=0.5))
    slow.started()
    assert slow.cost == 1.0
    refused = MemberLoad("a:1", clock)
    refused.refused()
    assert refused.cost == PENALTY


@pytest.mark.parametrize("seconds", [0.001, 3.0])
def test_the_first_answer_replaces_the_default(clock, seconds):
    member = MemberLoad("a:1", clock)
    answered(member, clock, seconds)
    assert member.latency_s == pytest.approx(seconds)


def test_a_peak_counts_at_once_and_better_times_little_by_little(clock):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 0.010)
    answered(member, clock, 1.0)
    assert member.latency_s == pytest.approx(1.0)
    answered(member, clock, 0.010)
    assert 0.9 < member.latency_s < 1.0
    for _ in range(3000):
        answered(member, clock, 0.010)
    assert 0.010 <= member.latency_s < 0.1


def test_what_was_measured_fades_with_a_decay_of_ten_seconds(clock):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 1.0)
    clock.now += 10
    assert member.latency_s == pytest.approx(math.exp(-1))
    assert member.cost == pytest.approx(math.exp(-1))


@pytest.mark.parametrize("times", [10, 300, 5000])
def test_what_others_were_taken_for_is_forgotten_within_seconds(times, clock):
    """By e^-age/10 alone the three would be tried again after 23, 57 and 85 s."""
    member = MemberLoad("a:1", clock)
    answered(member, clock, 0.004 * times)
    for _ in range(24):
        member.passed_over()
    clock.now += 3
    assert member.cost > 0.004 * times / 5
    clock.now += 6
    assert member.cost < 0.004
    answered(member, clock, 0.004)
    assert member.latency_s < 0.006


def test_where_few_choices_were_lost_only_the_decay_counts(clock):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 1.0)
    for _ in range(23):
        member.passed_over()
    clock.now += 10
    assert member.cost == pytest.approx(math.exp(-1))
    member.passed_over()
    assert member.cost == pytest.approx(math.exp(-1 - 100 / 9))
    answered(member, clock, 1.0)
    clock.now += 10
    assert member.cost == pytest.approx(math.exp(-1))


def test_a_member_that_is_well_again_is_tried_at_once(clock):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 8.0)
    member.warm_up()
    assert (member.cost, member.measured) == (0, None)
    answered(member, clock, 0.004)
    assert member.latency_s == pytest.approx(0.004)


def test_cost_is_latency_times_what_is_under_way_by_weight(clock):
    member = MemberLoad("a:1", clock, weight=4)
    for _ in range(3):
        member.started()
    assert member.active == 3
    assert member.cost == pytest.approx(0.010 * 4 / 4)


@pytest.mark.parametrize("waiting", [1, 5])
def test_silence_costs_before_any_attempt_times_out(clock, waiting):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 0.004)
    for _ in range(waiting):
        member.started()
    clock.now += 2.0
    assert member.latency_s == pytest.approx(2.0)
    assert member.cost == pytest.approx(2.0 * (waiting + 1))


def test_silence_begins_anew_with_each_answer_and_each_idle_time(clock):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 0.004)
    clock.now += 5
    first = member.started()
    second = member.started()
    clock.now += 0.003
    member.ended(first, AttemptEnd.ANSWERED)
    clock.now += 0.002
    assert member.latency_s < 0.0041
    member.ended(second, AttemptEnd.ANSWERED)
    assert member.latency_s == pytest.approx(0.005)


@pytest.mark.parametrize("end", [AttemptEnd.UNFINISHED, AttemptEnd.LOST])
def test_what_has_no_answer_never_makes_a_member_faster(clock, end):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 0.5)
    before = member.latency_s
    answered(member, clock, 0.0, end)
    assert member.latency_s == before
    answered(member, clock, 2.0, end)
    assert member.latency_s == pytest.approx(2.0)


def test_a_member_that_gave_no_answer_is_penalized_and_one_left_by_its_caller_is_not(clock):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 0.0, AttemptEnd.UNFINISHED)
    assert not member.is_penalized
    answered(member, clock, 0.0, AttemptEnd.LOST)
    assert member.is_penalized
    assert member.cost >= PENALTY


@pytest.mark.parametrize(
    ("retry_after_s", "seconds"),
    [(None, 5), (1, 1), (30, 30), (86_400, 300), (-1, 5), (math.nan, 5), (math.inf, 300)],
)
def test_a_refusal_counts_for_five_seconds_or_as_long_as_the_member_says(clock, retry_after_s, seconds):
    member = MemberLoad("a:1", clock)
    member.refused(retry_after_s)
    clock.now += seconds - 0.001
    assert member.cost >= PENALTY
    clock.now += 0.002
    assert member.cost < PENALTY


def test_a_shorter_refusal_does_not_take_back_a_longer_one(clock):
    member = MemberLoad("a:1", clock)
    member.refused(60)
    member.refused()
    clock.now += 59
    assert member.is_penalized


@pytest.mark.parametrize(
    ("said", "factor"),
    [
        ({"application": 0.5}, 2),
        ({"cpu": 0.5}, 2),
        ({"application": 0.75, "cpu": 0.1}, 4),
        ({"application": 0.25, "rps": 100, "eps": 25}, 2),
        ({"application": 7.0}, 10),
        ({"application": math.nan}, 1),
        ({"application": -3.0}, 1),
        ({"application": math.inf}, 1),
        ({"rps": 0.0, "eps": 3.0}, 1),
        ({}, 1),
    ],
)
def test_what_a_member_says_of_its_load(clock, said, factor):
    member = MemberLoad("a:1", clock)
    answered(member, clock, 0.010)
    member.reported(report(**said))
    assert member.cost == pytest.approx(0.010 * factor)


def test_a_report_fades(clock):
    member = MemberLoad("a:1", clock)
    member.reported(report(application=0.8))
    clock.now += 10
    assert member.utilization == pytest.approx(0.8 * math.exp(-1))
    clock.now += 100
    answered(member, clock, 0.010)
    assert member.cost == pytest.approx(0.010, rel=0.01)


def test_slow_start(clock):
    member = MemberLoad("a:1", clock)
    assert member.warmth == 1
    member.warm_up()
    assert member.warmth == 0.1
    clock.now += 15
    assert member.warmth == pytest.approx(0.5)
    answered(member, clock, 0.010)
    # Who is compared goes by warmth; the comparison does not.
    assert member.cost == pytest.approx(0.010, rel=0.01)
    clock.now += 15
    assert member.warmth == 1
    none = MemberLoad("a:1", clock, LoadSettings(slow_start_window_s=0))
    none.warm_up()
    assert none.warmth == 1


def test_a_clock_that_goes_back_does_no_harm(clock):
    member = MemberLoad("a:1", clock)
    started = member.started()
    clock.now -= 50
    member.ended(started, AttemptEnd.ANSWERED)
    clock.now -= 50
    assert member.cost >= 0
    assert member.latency_s >= 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["start", "end", "refuse", "report", "wait", "warm", "pass"]),
            st.floats(0, 1000),
            st.sampled_from(AttemptEnd),
        ),
        max_size=60,
    )
)
def test_costs_are_finite_numbers_that_are_not_negative_whatever_happens(steps):
    clock = Hand()
    member = MemberLoad("a:1", clock, weight=3)
    under_way: list[float] = []
    for what, number, end in steps:
        match what:
            case "start":
                under_way.append(member.started())
            case "end" if under_way:
                member.ended(under_way.pop(), end)
            case "refuse":
                member.refused(number)
            case "report":
                member.reported(report(application=number))
            case "warm":
                member.warm_up()
            case "pass":
                for _ in range(30):
                    member.passed_over()
            case _:
                clock.now += number
        assert 0 <= member.cost < math.inf
        assert (member.cost >= PENALTY) is member.is_penalized
        assert 0 < member.warmth <= 1
        assert member.active == len(under_way)


def test_shows_its_state(clock):
    member = MemberLoad("a:1", clock)
    assert repr(member) == "<MemberLoad a:1 10.0 ms, 0 under way>"
    member.started()
    member.warm_up()
    member.refused()
    assert repr(member) == "<MemberLoad a:1 10.0 ms, 1 under way, penalized, 10% warm>"


@pytest.mark.parametrize("said", [{"application": 1e300}, {"cpu": 1e9}, {"eps": 1e300, "rps": 1e-7}])
def test_a_report_that_cannot_be_true_is_over_within_a_minute(said, clock):
    """Nobody would send to such a member for hours, and so nobody would hear that it was wrong."""
    member = MemberLoad("a:1", clock)
    member.reported(report(**said))
    assert member.utilization > 0.9
    clock.now += 60
    assert member.utilization < 0.01
