"""A rotating pair of Bloom filters: what is remembered, for how long, and how often it is mistaken."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cache.bloom import FALSE_POSITIVES, RotatingBloom


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _bloom(capacity: int = 1000, **options: object) -> RotatingBloom:
    return RotatingBloom(capacity, now=options.pop("now", Seconds()), **options)  # type: ignore[arg-type]


def _keys(count: int, prefix: str = "") -> list[bytes]:
    return [f"{prefix}{number}".encode() for number in range(count)]


def test_what_was_added_is_there_and_adding_says_whether_it_was() -> None:
    bloom = _bloom()
    assert b"a" not in bloom
    assert not bloom.add(b"a")
    assert b"a" in bloom
    assert b"b" not in bloom
    assert bloom.add(b"a")
    assert len(bloom) == 1, "a key that is added twice takes its place once"
    assert "1+0 of 1000" in repr(bloom)


@pytest.mark.parametrize("capacity", [50, 1000, 20_000])
@pytest.mark.parametrize("fills", [1, 2, 7])
def test_it_is_never_mistaken_about_one_percent(capacity: int, fills: int) -> None:
    bloom = _bloom(capacity)
    for key in _keys(capacity * fills):
        bloom.add(key)
    strangers = _keys(20_000, "unseen ")
    mistaken = sum(key in bloom for key in strangers) / len(strangers)
    assert mistaken < FALSE_POSITIVES * 1.25, "20,000 look-ups draw within a quarter of it"
    assert bloom.false_positives < FALSE_POSITIVES
    assert abs(bloom.false_positives - mistaken) < 0.0035, "the estimate is about what is measured"


def test_the_last_keys_are_remembered_and_those_before_two_turns_are_not() -> None:
    bloom = _bloom(capacity=100)
    keys = _keys(1000)
    for key in keys:
        bloom.add(key)
    assert all(key in bloom for key in keys[-100:])
    assert sum(key in bloom for key in keys[:800]) < 30
    assert bloom.rotations in (8, 9), "a key that is mistaken for one of the turn takes no place"
    assert len(bloom) <= 200


def test_a_key_that_is_seen_again_stays() -> None:
    bloom = _bloom(capacity=100)
    bloom.add(b"popular")
    for key in _keys(1000):
        bloom.add(key)
        if key.endswith(b"50"):
            assert bloom.add(b"popular")
    assert b"popular" in bloom


@pytest.mark.parametrize(("after_s", "is_there"), [(9.0, True), (11.0, True), (19.0, True), (21.0, False)])
def test_a_key_is_remembered_for_one_turn_to_two(after_s: float, is_there: bool) -> None:
    now = Seconds()
    bloom = _bloom(now=now, most_age_s=10.0)
    bloom.add(b"a")
    now.now = after_s
    assert (b"a" in bloom) is is_there


def test_two_turns_of_time_in_steps() -> None:
    now = Seconds()
    bloom = _bloom(now=now, most_age_s=10.0)
    bloom.add(b"a")
    now.now = 10.0
    assert b"a" in bloom
    assert bloom.fill == 0.0
    now.now = 20.0
    assert b"a" not in bloom
    assert bloom.rotations == 2


def test_fill_and_size() -> None:
    bloom = _bloom(capacity=100)
    size = bloom.size_bytes
    assert 200 <= size <= 400
    assert bloom.fill == 0.0
    assert bloom.false_positives == 0.0
    for key in _keys(50):
        bloom.add(key)
    assert bloom.fill == pytest.approx(0.5, abs=0.02)
    for key in _keys(100_000):
        bloom.add(key)
    assert bloom.size_bytes == size, "memory is bounded"


def test_nobody_can_choose_keys_that_are_mistaken_for_others_of_a_secret() -> None:
    public, secret = _bloom(10), _bloom(10, secret=b"x" * 80)
    for key in _keys(10):
        public.add(key)
        secret.add(key)
    chosen = [key for key in _keys(40_000, "try ") if key in public]
    assert len(chosen) > 20
    assert sum(key in secret for key in chosen) < len(chosen) / 4


def test_the_hash_is_the_same_in_every_process() -> None:
    program = (
        "from cache.bloom import RotatingBloom\n"
        "bloom = RotatingBloom(10, now=float)\n"
        "for n in range(10): bloom.add(b'key %d' % n)\n"
        "print([n for n in range(60_000) if b'%d' % n in bloom])\n"
    )
    runs = {
        subprocess.check_output([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, text=True)
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert runs.pop().count(",") > 4, "some are mistaken, and the same ones"


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_filter_for_no_key_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="at least one key"):
        _bloom(capacity)
