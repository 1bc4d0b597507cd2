"""The order in which requests wait."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.settings import BatchingSettings, QueuePolicy
from edge_models.waiting_requests import LevelPolicy, Priorities, WaitingRequests

arrivals = itertools.count()


@dataclass(eq=False)
class Waiter:
    level: int = 0
    delayed: bool = False
    arrived: float = field(default_factory=lambda: float(next(arrivals)))


def filled(*levels: int) -> tuple[WaitingRequests[Waiter], list[Waiter]]:
    queue, waiters = WaitingRequests(), [Waiter(level) for level in levels]
    for waiter in waiters:
        queue.append(waiter)
    return queue, waiters


def test_higher_priorities_come_first_and_within_one_who_came_first():
    """1 is the highest."""
    queue, (third, first, fourth, second) = filled(2, 1, 2, 1)

    assert list(queue) == [first, second, third, fourth]
    assert (len(queue), queue.count(1), queue.count(2), queue.count(3)) == (4, 2, 2, 0)
    assert repr(queue) == "<WaitingRequests 2 at 1, 2 at 2>"
    assert queue.first() is first
    assert queue.oldest() is third
    assert queue.take(3) == [first, second, third]
    assert list(queue) == [fourth]
    assert len(queue) == 1


def test_who_is_delayed_comes_after_those_of_its_level_and_before_those_below():
    """It counts among those of its level."""
    queue, (late, other, below) = filled(1, 1, 2)

    queue.delay(late)

    assert list(queue) == [other, late, below]
    assert (len(queue), queue.count(1)) == (3, 2)
    queue.append(newcomer := Waiter(1))
    assert queue.take(4) == [other, newcomer, late, below]
    assert len(queue) == 0
    assert repr(queue) == "<WaitingRequests none>"


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 30), st.sampled_from(["add", "leave", "delay", "take"]))
    )
)
def test_it_is_what_sorting_would_give(steps):
    """Whatever happens, the order is level, then in time or not, then when they began to wait there."""
    queue, model, number = WaitingRequests(), [], itertools.count()
    for level, place, step in steps:
        chosen = model[place % len(model)][-1] if model else None
        if step == "add" or chosen is None:
            waiter = Waiter(level)
            queue.append(waiter)
            model.append((level, False, next(number), waiter))
        elif step == "take":
            count = place % len(model) + 1
            assert queue.take(count) == [each[-1] for each in model[:count]]
            model = model[count:]
        elif step == "leave" or not chosen.delayed:
            model = [each for each in model if each[-1] is not chosen]
            if step == "leave":
                queue.remove(chosen)
            else:
                queue.delay(chosen)
                model.append((chosen.level, True, next(number), chosen))
        model.sort(key=lambda each: each[:3])
        assert list(queue) == [each[-1] for each in model]
        assert len(queue) == len(model)


@pytest.mark.parametrize(
    ("priority", "level"), [(0, 2), (1, 1), (2, 2), (3, 3), (4, 2), (1 << 64, 2)], ids=str
)
def test_what_a_request_may_say(priority, level):
    """0 and more than there are stand for the default, as in Triton."""
    priorities = Priorities(BatchingSettings(priority_levels=3, default_priority_level=2))

    assert priorities.level(priority) == level
    assert repr(priorities) == "<Priorities 3>"


def test_without_levels_all_are_equal():
    """What requests say changes nothing."""
    assert {Priorities(BatchingSettings()).level(priority) for priority in (0, 1, 7)} == {0}


def test_policies():
    """A level's own stands for the default one; 0 is no limit of time, and the model's own limit of length."""
    own = QueuePolicy(timeout_action="DELAY", default_timeout_microseconds=2_500, max_queue_size=3)
    priorities = Priorities(
        BatchingSettings(
            max_queue_size=9, priority_levels=2, default_priority_level=1, priority_queue_policy={2: own}
        )
    )

    assert priorities.policy(1) == LevelPolicy(math.inf, delays=False, max_waiting=9)
    assert priorities.policy(2) == LevelPolicy(0.0025, delays=True, max_waiting=3)


@pytest.mark.parametrize(
    ("batching", "words"),
    [
        ({"priority_levels": 2}, "default_priority_level must be a level from 1 to priority_levels"),
        ({"priority_levels": 2, "default_priority_level": 3}, "from 1 to priority_levels, which is 2"),
        ({"default_priority_level": 1}, "from 1 to priority_levels, which is 0"),
        ({"priority_queue_policy": {1: {}}}, "priority_queue_policy must name levels"),
        (
            {"priority_levels": 2, "default_priority_level": 1, "priority_queue_policy": {0: {}}},
            "priority_queue_policy must name levels",
        ),
        (
            {"priority_levels": 2, "default_priority_level": 1, "preserve_ordering": True},
            "preserve_ordering and several priority_levels contradict each other",
        ),
        ({"inline_max_rows": 1, "preserve_ordering": True}, "inline_max_rows"),
        (
            {"inline_max_rows": 1, "priority_levels": 1, "default_priority_level": 1},
            "what inline_max_rows lets run on the event loop waits for nobody",
        ),
        ({"default_queue_policy": {"timeout_action": "WAIT"}}, "Invalid enum value"),
        ({"default_queue_policy": {"timeout": 1}}, "unknown field"),
        ({"priority_levels": 1 << 63}, "<= 9223372036854775807"),
    ],
)
def test_what_contradicts_itself_is_refused(batching, words):
    """At start, with the names of the settings."""
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(batching, BatchingSettings)
