"""The repository as an operator sees it."""

from __future__ import annotations

import pytest

from edge_models.registry import Registry
from edge_models.repository import ModelRepository
from edge_models.settings import BatchingSettings, ModelsSettings
from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import IndexEntry, ModelSettings
from tests.edge_models import onnx_models


@pytest.fixture
def repository(tmp_path) -> ModelRepository:
    onnx_models.write(tmp_path, "digits", onnx_models.affine())
    onnx_models.write(tmp_path, "fixed", onnx_models.affine(batch=1))
    registry = Registry.load(ModelsSettings(repository=str(tmp_path)))
    batching = {"digits": BatchingSettings(max_batch_size=8, preferred_batch_size=(4,), max_queue_size=5)}
    return ModelRepository(registry, batching, lambda model: model == "digits")


def test_index(repository):
    """Everything that is loaded is ready."""
    assert repository.index() == [IndexEntry("digits", "1", "READY"), IndexEntry("fixed", "1", "READY")]
    assert "digits/1" in repr(repository)


def test_settings(repository):
    """What the queue does is told; a model without a batch dimension, or held elsewhere, has none."""
    assert repository.settings("digits") == ModelSettings(8, (4,), 0, 5, is_cached=True)
    assert repository.settings("fixed") == repository.settings("elsewhere") == ModelSettings()


async def test_nothing_is_loaded_while_serving(repository):
    """Loading and unloading are refused with what to do instead; an unknown model is not found."""
    for call, fault in (
        (repository.load("digits", {}), Fault.UNSUPPORTED),
        (repository.unload("digits"), Fault.UNSUPPORTED),
        (repository.unload("x"), Fault.NOT_FOUND),
    ):
        with pytest.raises(GatewayError) as refused:
            await call
        assert refused.value.fault is fault
