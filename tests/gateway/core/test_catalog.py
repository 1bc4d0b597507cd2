"""unknown_model()."""

from __future__ import annotations

import pytest

from gateway.core.catalog import unknown_model
from gateway.core.errors import Fault


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("cats",), "Request for unknown model: 'cats' is not found"),
        (("cats", "9"), "Request for unknown model: 'cats' version 9 is not found"),
        (("c\0",), "Request for unknown model: 'c?' is not found"),
    ],
)
def test_words_are_tritons(asked: tuple[str, ...], message: str) -> None:
    """Clients look for them; what a stranger wrote is made fit to print."""
    error = unknown_model(*asked)

    assert (error.fault, error.message) == (Fault.NOT_FOUND, message)
