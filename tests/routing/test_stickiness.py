"""What keeps equal requests together."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.request import SEQUENCE, Caller, Request
from gateway.core.tensor import Tensor
from routing.stickiness import WHOLE, goes_by_input, key_by, of_input, place_of, salt_of, share_of


def asks(data: bytes = b"data", **changes: object) -> Request:
    """A request with one input."""
    request = Request("digits", (Tensor("x", "UINT8", (len(data),), data),), caller=Caller(tenant="acme"))
    return replace(request, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("percent", [1, 5, 50, 95])
def test_a_share_is_what_it_says(percent: int) -> None:
    """Within three standard deviations, for one who draws and for another one among those that he left."""
    count, share, end = 20_000, percent / 100, share_of(percent)
    keys = [of_input(asks(str(number).encode())) for number in range(count)]
    one, other = salt_of("percent", "a"), salt_of("percent", "b")

    left = [key for key in keys if place_of(key, one) >= end]
    again = sum(place_of(key, other) < end for key in left)

    for taken, of in ((count - len(left), count), (again, len(left))):
        assert abs(taken - of * share) <= 3 * math.sqrt(of * share * (1 - share))


def test_those_who_draw_are_independent() -> None:
    """Of 24 routes, any two have in common what chance would have it: 276 pairs, within four deviations."""
    count, percent = 20_000, 20
    salts = [salt_of("percent", f"canary-{number}") for number in range(24)]
    keys = np.array([of_input(asks(str(number).encode())) for number in range(count)], dtype=np.uint64)
    taken = [keys * np.uint64(salt) < np.uint64(share_of(percent)) for salt in salts]

    both = [int(np.sum(one & other)) for one, other in itertools.combinations(taken, 2)]

    part = (percent / 100) ** 2
    assert max(abs(each - count * part) for each in both) <= 4 * math.sqrt(count * part * (1 - part))


def test_places_are_shared_without_remainder() -> None:
    """Nobody is below no share, everybody is below the whole one, and every salt only permutes the keys."""
    assert (share_of(0), share_of(100)) == (0, WHOLE)
    assert all(salt_of("percent", str(number)) % 2 for number in range(64))
    assert place_of(WHOLE - 1, salt_of("percent", "a")) < WHOLE


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_equal_inputs_stay_together(one: bytes, other: bytes) -> None:
    """Id, attempt and address change nothing, data does."""
    key = key_by("input")
    twin = asks(one, id="7", attempt=2, caller=Caller("10.0.0.1", "other"))

    assert key(asks(one)) == key(twin)
    assert (key(asks(one)) == key(asks(other))) is (one == other)


@pytest.mark.parametrize("place", [0, 200_000, 399_999])
def test_long_inputs_are_told_apart_by_parts(place: int) -> None:
    """Beginning, middle and end of a long input are among what is looked at."""
    data = bytearray(400_000)
    step = (len(data) - 1024) // 31
    place = min(place // step * step, len(data) - 1)
    data[place] = 1

    assert of_input(asks(bytes(data))) != of_input(asks(bytes(400_000)))


@pytest.mark.parametrize(
    ("by", "request_", "by_input"),
    [
        ("input", asks(), True),
        ("tenant", asks(), False),
        ("tenant", asks(caller=Caller()), True),
        ("header:X-User", asks(routed=(("x-user", "u"),)), False),
        ("header:X-User", asks(), True),
        ("input", asks(parameters={SEQUENCE: 7}), False),
    ],
)
def test_what_a_key_goes_by(by: str, request_: Request, by_input: bool) -> None:
    """Where it does not go by the input, other data have the same key."""
    key, other = key_by(by), replace(request_, inputs=asks(b"other").inputs)

    assert goes_by_input(by, request_) is by_input
    assert (key(request_) != key(other)) is by_input
