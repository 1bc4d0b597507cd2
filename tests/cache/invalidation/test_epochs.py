"""What is mixed into keys: the last invalidation that names a request, and never an older one again."""

from __future__ import annotations

from random import Random

import pytest

from cache.invalidation.epochs import HERE, EpochRow, Epochs
from cache.invalidation.scope import Scope

NAMES = ("all", "model=m", "tenant=t", "tag=x", "model=m&tenant=t", "model=m&tag=x", "tenant=t&tag=x")


def scope(name: str) -> Scope:
    found = Scope.parse(name)
    assert found is not None
    return found


def read(epochs: Epochs, *names: str, start: int = 1, log: str = "a", region: str = "eu") -> bool:
    rows = [EpochRow(scope(name), number) for number, name in enumerate(names, start)]
    return epochs.read(region, log, rows)


def test_nothing_known_is_nothing_mixed_in() -> None:
    """Keys are as they were before there were epochs."""
    epochs = Epochs("eu")

    assert epochs.marks("m", "t", ("x",)) == ()
    assert epochs.version == 0


@pytest.mark.parametrize("name", [*NAMES, "model=m&tenant=t&tag=x", "model=m&region=eu"])
def test_who_is_named_has_another_mark(name: str) -> None:
    """And who is not keeps the one from before."""
    epochs = Epochs("eu")
    read(epochs)
    before, other = epochs.marks("m", "t", ("x", "y")), epochs.marks("n", "u", ("z",))

    assert read(epochs, name)

    assert epochs.marks("m", "t", ("x", "y")) != before
    assert (epochs.marks("n", "u", ("z",)) != other) is (name == "all")


def test_another_region_is_not_meant() -> None:
    """What names another region changes no key here, and is known as the last one all the same."""
    epochs = Epochs("eu")
    read(epochs)

    assert not read(epochs, "model=m&region=us")
    assert epochs.latest("eu") == EpochRow(Scope(model="m", region="us"), 1)
    assert not epochs.here(Scope(region="us"), 1)


def test_a_shared_answer_is_everybodys() -> None:
    """Where tenants share answers, an invalidation of one concerns all of them."""
    epochs = Epochs("eu")
    read(epochs)
    before = epochs.marks("m", None, ())

    read(epochs, "tenant=t")
    named = epochs.marks("m", None, ())
    read(epochs, "tag=x", "model=n", start=2)

    assert named != before
    assert epochs.marks("m", None, ()) == named
    assert epochs.marks("m", None, ("x",)) != named


def test_what_is_known_already_changes_nothing() -> None:
    """Nor does what is older; keys are not made anew for it."""
    epochs = Epochs("eu")
    read(epochs, "model=m", "model=n")
    version = epochs.version

    assert not read(epochs, "model=m", "model=n")
    assert epochs.version == version


def test_another_log_makes_every_key_another_one() -> None:
    """What the lost one had said nobody knows any more; those who come later have the same keys."""
    epochs, later = Epochs("eu"), Epochs("eu")
    read(epochs, "model=m")
    before = epochs.marks("n", "t", ())

    assert read(epochs, log="b")
    read(later, log="b")

    assert epochs.marks("n", "t", ()) != before
    assert epochs.marks("m", "t", ()) == later.marks("m", "t", ())


def test_windows_keep_apart_what_is_kept_without_the_log() -> None:
    """And none of them is found again, once the log was read."""
    epochs = Epochs("eu")
    seen = []
    for window in (7, 7, 8):
        epochs.cut("us", window)
        seen.append(epochs.marks("m", "t", ()))
    assert epochs.is_cut("us")
    read(epochs, region="us")
    epochs.cut("us", 0)

    assert seen[0] == seen[1] != seen[2]
    assert epochs.marks("m", "t", ()) not in seen
    assert not epochs.is_cut("us")


def test_an_order_holds_at_once_in_whatever_state_its_log_is() -> None:
    """Also where the log is cut off, and where it is not the one that was read."""
    epochs = Epochs("eu")
    epochs.cut("eu", 7)
    for identity in ("a", "a", "b"):
        before = epochs.marks("m", "t", ())
        epochs.note("eu", identity, EpochRow(Scope(model="m"), epochs.version + 1))
        assert epochs.marks("m", "t", ()) != before
        read(epochs)
    assert epochs.identity("eu") == "a"


def test_a_bounded_table_forgets_too_much_and_never_too_little() -> None:
    """Ten thousand names in a table of 16: after each, who was ever named has not got an older mark again."""
    chance, epochs = Random(3), Epochs("eu", max_names=16)
    read(epochs)
    seen: dict[str, set[object]] = {}
    for number in range(1, 10_001):
        name = f"m{chance.randrange(200)}"
        before = epochs.marks(name, "t", ())
        seen.setdefault(name, set()).add(before)
        epochs.read("eu", "a", [EpochRow(Scope(model=name), number)])
        assert epochs.marks(name, "t", ()) not in seen[name]
    assert repr(epochs).startswith("<Epochs 10001: eu 16+")


def test_names_that_clients_invent_are_not_remembered_for_ever() -> None:
    """What was found for a name is remembered, within bounds, and found again."""
    epochs = Epochs("eu")
    read(epochs, "model=m0")
    first = epochs.marks("m0", "t", ())
    for number in range(5_000):
        epochs.marks(f"m{number}", "t", ())

    assert epochs.marks("m0", "t", ()) == first
    assert epochs.latest(HERE) is None
    assert epochs.identity(HERE) == ""
