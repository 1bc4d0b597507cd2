"""What settings structs say of their fields."""

from __future__ import annotations

import msgspec

from gateway.config.meanings import meanings, summary


class Numbers(msgspec.Struct):
    """What is said, and
    how.

    ``first``, ``second``: of both, with a ``name`` in it
    over two lines. ``third``: one more.

    A paragraph about all of them. ``stranger``: is no field.
    """

    first: int
    second: int
    third: int
    fourth: int = 4
    """Below
    the field."""
    fifth: int = 5


class NumbersAgain(Numbers):
    """More of it."""

    third: int = 3
    """Otherwise."""
    sixth: int = 6


def test_both_places_are_read() -> None:
    """The struct's docstring, by name, and the text below a field; what is not said is left out."""
    both = "of both, with a ``name`` in it over two lines."
    assert meanings(Numbers) == {
        "first": both,
        "second": both,
        "third": "one more.",
        "fourth": "Below the field.",
    }


def test_a_struct_inherits_what_is_said() -> None:
    """And may say it otherwise."""
    assert meanings(NumbersAgain) == meanings(Numbers) | {"third": "Otherwise."}


def test_the_summary_ends_where_fields_begin() -> None:
    """In one line; all of it where no field is named."""
    assert summary(Numbers) == "What is said, and how."
    assert summary(NumbersAgain) == "More of it."
