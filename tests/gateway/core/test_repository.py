"""The repository of a process that has no models."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import ModelSettings, NoRepository


async def test_a_process_without_models():
    """It lists none, and loads none."""
    repository = NoRepository()

    assert (list(repository.index()), repository.settings("m")) == ([], ModelSettings())
    assert repr(repository) == "<NoRepository>"
    for call in (repository.load("m", {}), repository.unload("m", dependents=True)):
        with pytest.raises(GatewayError, match="'m'") as caught:
            await call
        assert caught.value.fault is Fault.NOT_FOUND
