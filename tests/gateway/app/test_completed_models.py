"""Models as clients see them, where stores fill some of their inputs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import pytest

from gateway.app.completed_models import CompletedModels
from gateway.core.catalog import AllModels, IndexEntry, ModelSpec, TensorSpec
from gateway.core.features import EnrichedInput

USER = EnrichedInput(store="users", key="id", input="user", size=2, datatype="BYTES")
SHOP = EnrichedInput(store="users", key="id", input="other", size=2, datatype="BYTES")


class Models(AllModels):
    """One model of two inputs, with a configuration behind it."""

    def __init__(self, config: bytes | None) -> None:
        super().__init__(self)  # type: ignore[arg-type]
        self.given = config

    def __repr__(self) -> str:
        return "<Models>"

    async def describe(self, model: str, version: str) -> ModelSpec:
        inputs = (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("user", "FP32", (-1, 2)))
        return ModelSpec(model, (version,), "", inputs, ())

    async def is_ready(self, model: str, version: str) -> bool:
        return True

    async def config(self, model: str, version: str) -> bytes | None:
        return self.given

    async def index(self) -> Sequence[IndexEntry]:
        return [IndexEntry("shop", "1", "READY")]


@pytest.mark.parametrize(("batch", "dims"), [(8, [1]), (0, [-1, 1])])
async def test_keys_instead_of_vectors(batch: int, dims: list[int]) -> None:
    config = msgspec.json.encode({"max_batch_size": batch, "input": [{"name": "x"}, {"name": "user"}]})
    models = CompletedModels(Models(config), {"shop": (USER, SHOP)})

    spec = await models.describe("shop", "1")
    shown = json.loads(await models.config("shop", "1") or b"")

    assert [each.name for each in spec.inputs] == ["x", "id"]
    assert shown["input"] == [{"name": "x"}, {"name": "id", "data_type": "TYPE_STRING", "dims": dims}]
    assert [each.name for each in (await models.describe("other", "1")).inputs] == ["x", "user"]
    assert await models.config("other", "1") == config
    assert await models.is_ready("shop", "1")
    assert [each.name for each in await models.index()] == ["shop"]
    assert models.runs_here("shop")
    assert "shop" in repr(models)


async def test_without_a_configuration_behind() -> None:
    assert await CompletedModels(Models(None), {"shop": (USER,)}).config("shop", "1") is None
