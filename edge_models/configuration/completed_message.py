"""A model's configuration as clients are to know it: what its file says, and what the graph adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_models.configuration.model_configuration import ConfiguredTensor, ModelConfiguration
from edge_models.configuration.remarks import BACKEND, PLATFORM
from gateway.core.tensor import BYTES
from gateway.wire.proto.messages import message

_MODEL_FILE = "model.onnx"


def completed_message(config: ModelConfiguration, model: str) -> Any:
    """Return the ``inference.ModelConfig`` of a completed ``config``, a new one."""
    whole = message("inference.ModelConfig")()
    whole.CopyFrom(config.message)
    whole.name, whole.platform, whole.backend = model, PLATFORM, BACKEND
    whole.max_batch_size = config.max_batch_size
    whole.default_model_filename = whole.default_model_filename or _MODEL_FILE
    if whole.version_policy.WhichOneof("policy_choice") is None:
        whole.version_policy.latest.num_versions = 1
    if config.dynamic_batching is not None and whole.WhichOneof("scheduling_choice") is None:
        whole.dynamic_batching.SetInParent()
    if not whole.input:
        _add(whole.input, config.inputs)
    if not whole.output:
        _add(whole.output, config.outputs)
    return whole


def _add(into: Any, tensors: Sequence[ConfiguredTensor]) -> None:
    for each in tensors:
        datatype = "STRING" if each.datatype == BYTES else each.datatype
        added = into.add(name=each.name, dims=each.dims)
        kinds = added.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_name
        added.data_type = kinds[f"TYPE_{datatype}"].number
