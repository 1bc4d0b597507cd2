"""Where sequences are: remembered, forgotten, and never too many of them."""

from __future__ import annotations

from routing.placements import Placements


def test_a_sequence_is_where_it_was_put_last():
    """Until it is forgotten."""
    subject = Placements()
    subject.put(b"a", "one")
    subject.put(b"a", "two")

    assert (subject.get(b"a"), subject.get(b"b")) == ("two", None)

    subject.forget(b"a")
    subject.forget(b"a")

    assert subject.get(b"a") is None


def test_those_used_last_are_remembered():
    """A stranger's thousands of sequences cost no more memory than the bound."""
    subject = Placements(most=2)
    for key in (b"a", b"b", b"a", b"c"):
        subject.put(key, key.decode())

    assert [subject.get(key) for key in (b"a", b"b", b"c")] == ["a", None, "c"]
    assert repr(subject) == "<Placements 2>"
