"""Assembly of the models."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge_models.errors import ModelError
from edge_models.settings import ModelsSettings
from gateway.app.foundation import open_foundation
from gateway.app.models import open_models
from gateway.core.errors import GatewayError
from tests.gateway.app.processes import EDGE, settings
from tests.scenarios.world import CONFIDENT, picture


async def test_models_answer_until_their_lifetime_ends(tmp_path: Path) -> None:
    """In the name of their region and role."""
    made = settings(tmp_path, EDGE)
    async with AsyncExitStack() as lifetimes:
        assert made.models is not None
        models = open_models(open_foundation(made, lifetimes), made.models, lifetimes)

        response = await models.predictor(picture(CONFIDENT))

        assert (response.provenance.origin, response.provenance.region) == ("edge", "here")
    with pytest.raises(GatewayError):
        await models.predictor(picture(CONFIDENT))


async def test_a_repository_without_models(tmp_path: Path) -> None:
    """The error names the folder."""
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, EDGE), lifetimes)
        with pytest.raises(ModelError, match="empty: cannot be read"):
            open_models(foundation, ModelsSettings(repository=str(tmp_path / "empty")), lifetimes)
