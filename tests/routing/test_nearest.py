"""Nearest: what is measured, hysteresis, and how one that has become fast is found."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from routing.locality import Locality
from routing.nearest import STALE_S, Nearest


class World:
    """Endpoints with round trips; a request measures the one that it goes to, at once."""

    def __init__(self, least_s: dict[str, float], **trips_s: float) -> None:
        self.trips_s, self.now_s = trips_s, 100.0
        self.known: dict[str, tuple[float, float]] = {}
        self.out: set[str] = set()
        self.nearest = Nearest(least_s, self, Locality(), self)

    def tick(self) -> float:
        return self.now_s

    def round_trip(self, endpoint: str) -> tuple[float, float] | None:
        return self.known.get(endpoint)

    def is_available(self, endpoint: str) -> bool:
        return endpoint not in self.out

    def run(self, seconds: float, rps: int = 1000) -> list[str]:
        """Return where each request went first."""
        names = tuple(self.trips_s)
        went = []
        for _ in range(int(seconds * rps)):
            self.now_s += 1 / rps
            name = next(each for each in self.nearest.order(names) if each not in self.out)
            self.known[name] = (self.trips_s[name], self.now_s)
            went.append(name)
        return went


def share(went: list[str], name: str) -> float:
    return Counter(went)[name] / len(went)


def test_distance_until_it_is_measured():
    """The nearest by distance turns out to be slow: the next is tried, and preferred."""
    world = World({"a": 0.001, "b": 0.02}, a=0.6, b=0.03)
    assert world.nearest.order(("b", "a")) == ("a", "b")
    world.run(11)
    assert share(world.run(10), "b") > 0.97


def test_one_that_light_cannot_reach_in_time_is_never_tried():
    world = World({"a": 0.001, "far": 0.05}, a=0.004, far=0.06)
    assert set(world.run(60)) == {"a"}


def test_twenty_percent_are_needed():
    world = World({"a": 0.001, "b": 0.002}, a=0.010, b=0.0085)
    assert share(world.run(60), "a") > 0.97
    world.trips_s["b"] = 0.008
    world.run(STALE_S + 2)
    assert share(world.run(10), "b") > 0.97


def test_it_changes_at_most_every_ten_seconds():
    """Two that are slower in turns, once a second: no flapping."""
    world = World({"a": 0.001, "b": 0.001}, a=0.005, b=0.005)
    firsts = []
    for second in range(120):
        world.trips_s["a"], world.trips_s["b"] = (0.005, 0.5) if second % 2 else (0.5, 0.005)
        firsts += [Counter(world.run(1, rps=200)).most_common(1)[0][0]]
    changes = sum(one != other for one, other in pairwise(firsts))
    assert 0 < changes <= 12


def test_what_is_out_is_left_at_once_and_not_explored():
    world = World({"a": 0.001, "b": 0.002}, a=0.005, b=0.006)
    world.run(5)
    world.out = {"a"}
    world.nearest.order(("a", "b"))
    assert set(world.run(30)) == {"b"}
    world.now_s += 0.3
    assert world.nearest.order(("a", "b"))[0] == "b"


def test_exploring_costs_one_of_a_hundred():
    world = World({"a": 0.001, "b": 0.001, "c": 0.001}, a=0.005, b=0.6, c=0.6)
    world.run(60)
    for rps in (20, 1000):
        went = world.run(60, rps=rps)
        assert share(went, "a") >= 0.985
        assert len(went) - Counter(went)["a"] <= 14


def test_one_that_has_become_fast_is_found():
    world = World({"a": 0.001, "b": 0.001}, a=0.05, b=0.6)
    world.run(30)
    world.trips_s["b"] = 0.004
    world.run(STALE_S + 2)
    assert share(world.run(5), "b") == 1


def test_the_same_endpoints_in_any_case():
    world = World({"a": 0.001, "b": 0.001, "c": 0.3}, a=0.05, b=0.6, c=0.1)
    for _ in range(5000):
        world.now_s += 0.01
        assert sorted(world.nearest.order(("a", "b", "c"))) == ["a", "b", "c"]
        assert world.nearest.order(("c",)) == ("c",)
        assert world.nearest.order(()) == ()


def test_sets_of_endpoints_do_not_pile_up():
    """Which endpoints hold a model makes sets beside those of the residency: old ones are forgotten."""
    names = tuple("abcdefghij")
    world = World(dict.fromkeys(names, 0.001), **dict.fromkeys(names, 0.01))
    for chosen in range(3, 1 << len(names)):
        some = tuple(name for bit, name in enumerate(names) if chosen >> bit & 1)
        assert set(world.nearest.order(some)) == set(some)

    assert repr(world.nearest).count(",") < 256
