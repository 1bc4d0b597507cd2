"""A model's configuration in Triton's format, which load generators read before they start."""

from __future__ import annotations

from typing import Any, Final

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.repository import ModelSettings
from gateway.core.tensor import BYTES
from gateway.wire.oip.passed_config import read_config

_BACKENDS: Final = {"onnxruntime_onnx": "onnxruntime"}
_FILE: Final = "model.onnx"


def model_config(spec: ModelSpec, settings: ModelSettings) -> dict[str, Any]:
    """Return the configuration in the names and values of JSON, from which protobuf's is made as well.

    With a ``max_batch_size`` the batch dimension is left out of ``dims``, as Triton has it. A model that has
    a configuration is told as that has it.

    Raises:
        GatewayError: INVALID when it has too many parts to be told.
    """
    if settings.config is not None:
        own = read_config(settings.config)
        return {**own, **_cache_of(settings)}
    return _of_settings(spec, settings)


def _of_settings(spec: ModelSpec, settings: ModelSettings) -> dict[str, Any]:
    is_batched = settings.max_batch_size > 0
    config: dict[str, Any] = {
        "name": spec.name,
        "platform": spec.platform,
        "backend": _BACKENDS.get(spec.platform, ""),
        "version_policy": {"all": {}},
        "max_batch_size": settings.max_batch_size,
        "input": [
            {
                **_tensor(tensor, is_batched=is_batched),
                "format": "FORMAT_NONE",
                "is_shape_tensor": False,
                "allow_ragged_batch": False,
                "optional": False,
            }
            for tensor in spec.inputs
        ],
        "output": [
            {**_tensor(tensor, is_batched=is_batched), "label_filename": "", "is_shape_tensor": False}
            for tensor in spec.outputs
        ],
        "default_model_filename": _FILE if spec.platform in _BACKENDS else "",
        "model_transaction_policy": {"decoupled": False},
        **_cache_of(settings),
    }
    if is_batched:
        config["dynamic_batching"] = {
            "preferred_batch_size": list(settings.preferred_batch_sizes),
            "max_queue_delay_microseconds": settings.delay_us,
            "preserve_ordering": False,
            "priority_levels": 0,
            "default_priority_level": 0,
            "default_queue_policy": {
                "default_timeout_microseconds": 0,
                "allow_timeout_override": True,
                "max_queue_size": settings.max_queue,
            },
        }
    return config


def _cache_of(settings: ModelSettings) -> dict[str, Any]:
    """Return that answers are cached, or nothing: that they are not is an order to whoever reads it."""
    return {"response_cache": {"enable": True}} if settings.is_cached else {}


def _tensor(spec: TensorSpec, *, is_batched: bool) -> dict[str, Any]:
    datatype = "TYPE_STRING" if spec.datatype == BYTES else f"TYPE_{spec.datatype}"
    return {"name": spec.name, "data_type": datatype, "dims": list(spec.shape[is_batched:])}
