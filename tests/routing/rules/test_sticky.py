"""Which endpoint a sequence goes to."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.request import Caller, Request
from routing.rules.sticky import place, rendezvous, sequence_key, sticky_order
from tests.routing.policies import Health

NAMES = st.lists(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=6, unique=True
)
KEYS = st.binary(min_size=1, max_size=40)


def step(number: Any = 7, model: str = "m", tenant: str = "a", **changes: Any) -> Request:
    return Request(model, (), parameters={"sequence_id": number}, caller=Caller(tenant=tenant), **changes)


@given(NAMES, KEYS, st.randoms())
def test_everybody_finds_the_same_order(names, key, random):
    """It does not matter in which order a policy names the endpoints."""
    shuffled = list(names)
    random.shuffle(shuffled)

    assert rendezvous(shuffled, key) == rendezvous(names, key)
    assert sorted(rendezvous(names, key)) == sorted(names)


@given(NAMES, KEYS, st.data())
def test_an_endpoint_that_goes_moves_no_sequence_but_its_own(names, key, data):
    """The order of the others stays."""
    gone = data.draw(st.sampled_from(names))
    left = [name for name in names if name != gone]

    assert rendezvous(left, key) == tuple(name for name in rendezvous(names, key) if name != gone)


def test_sequences_are_spread():
    """No endpoint has much more than its share."""
    counts = Counter(
        rendezvous(["a", "b", "c", "d"], sequence_key(step(number)))[0] for number in range(4000)
    )

    assert set(counts) == set("abcd")
    assert max(counts.values()) < 1200


@given(NAMES, KEYS, st.data())
def test_the_nearest_come_first(names, key, data):
    """However the key prefers them."""
    distances = {name: data.draw(st.integers(-1, 2)) for name in names}

    order = sticky_order(names, distances, key)

    assert [distances[name] for name in order] == sorted(distances.values())


@given(NAMES, KEYS, st.data())
def test_a_step_goes_to_its_state_or_nowhere(names, key, data):
    """Health sends none elsewhere; only a sequence of which nothing is known goes by it."""
    order = rendezvous(names, key)
    out = data.draw(st.sets(st.sampled_from(names)))
    failing = data.draw(st.sets(st.sampled_from(names)))
    held = data.draw(st.sampled_from(names))
    view = Health(*out, failing=failing)

    first = place(order, view, "m", None)

    assert place(order, view, "m", held) == (None if held in out else held)
    assert place(order[:-1], Health(), "m", order[-1]) is None
    assert (first is None) == (set(names) == out)
    assert first not in out
    if not out | failing:
        assert first == order[0]


def test_a_sequence_is_its_tenants_models_and_ids():
    """A number is not its text; versions are at one endpoint; no two names run together."""
    keys = [
        sequence_key(each)
        for each in (
            step(),
            step("7"),
            step(77),
            step(tenant="b"),
            step(model="n"),
            step(model="ma", tenant=""),
            step("1:7", model="m"),
        )
    ]

    assert len(set(keys)) == len(keys)
    assert sequence_key(step(version="2")) == keys[0]
