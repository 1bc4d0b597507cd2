"""Assembly of the models."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from edge_models.errors import ModelError
from edge_models.settings import BatchingSettings, ModelsSettings
from gateway.app.foundation import open_foundation
from gateway.app.models import open_models
from gateway.core.errors import GatewayError
from gateway.core.request import Caller
from gateway.core.telemetry import BatchRan
from tests.fakes.telemetry import RecordingTelemetry
from tests.gateway.app.processes import CENTRAL, EDGE, settings
from tests.scenarios.world import CONFIDENT, digits, picture


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


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        (EDGE, [1, 1]),
        (EDGE.replace("cache: {", "cache: {scope: residency, "), [2]),
        (EDGE.replace("models: {", "models: {batch_scope: residency, "), [2]),
        (
            EDGE.replace("models: {", "models: {batch_scope: tenant, ").replace(
                "cache: {", "cache: {scope: residency, "
            ),
            [1, 1],
        ),
        (CENTRAL, [1, 1]),
        (CENTRAL.replace("models: {", "models: {batch_scope: residency, "), [2]),
    ],
)
async def test_who_shares_a_batch(tmp_path: Path, text: str, sizes: list[int]) -> None:
    """Whoever shares answers, unless the models' settings say otherwise."""
    made = settings(tmp_path, text)
    async with AsyncExitStack() as lifetimes:
        assert made.models is not None
        batching = {digits.MODEL: BatchingSettings(max_queue_delay_microseconds=50_000)}
        ran = RecordingTelemetry()
        models = replace(made.models, batching=batching)
        foundation = dataclasses.replace(open_foundation(made, lifetimes), prometheus=cast("Any", ran))
        predictor = open_models(foundation, models, lifetimes).predictor

        asked = [replace(picture(CONFIDENT), caller=Caller(tenant=tenant, residency="eu")) for tenant in "ab"]
        await asyncio.gather(*map(predictor, asked))

        assert [event.requests for event in ran.of(BatchRan)] == sizes


async def test_a_repository_without_models(tmp_path: Path) -> None:
    """The error names the folder."""
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, EDGE), lifetimes)
        with pytest.raises(ModelError, match="empty: cannot be read"):
            open_models(foundation, ModelsSettings(repository=str(tmp_path / "empty")), lifetimes)
