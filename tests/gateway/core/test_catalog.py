"""unknown_model()."""

from __future__ import annotations

import pytest

from gateway.core.catalog import AllModels, unknown_model
from gateway.core.errors import Fault
from gateway.core.request import Caller
from tests.fakes.data_plane import FakeCatalog


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


async def test_without_a_policy_all_models_are_everybodys() -> None:
    """Whoever asks, and whatever for."""
    catalog = FakeCatalog()
    models = AllModels(catalog)

    for found in (models.of(Caller()), models.of(Caller(tenant="x"), to_infer=True)):
        assert found.may_use("digits") and found.is_alone("digits")
        assert (await found.describe("digits", "")).name == "digits"
        assert await found.is_ready("digits", "")
    assert repr(models) == f"<AllModels of {catalog!r}>"
