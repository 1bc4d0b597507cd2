"""What the tests of REST send, and over what."""

from __future__ import annotations

import msgspec

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.rest.application import RestApplication
from tests.fakes.data_plane import EchoService, FakeCatalog, fake_data_plane
from tests.fakes.exchange import Wire

INFER = "/v2/models/digits/infer"


ONE = ModelSpec(
    "digits",
    ("1",),
    "onnxruntime_onnx",
    (TensorSpec("x", "FP32", (-1, 2)),),
    (TensorSpec("x", "FP32", (-1, 2)),),
)


WORDS = ModelSpec(
    "words", ("1",), "", (TensorSpec("t", "BYTES", (-1, 1)),), (TensorSpec("t", "BYTES", (-1, 1)),)
)


def wire(service=None, extensions: Extensions | None = None, **changes) -> Wire:
    changes.setdefault("catalog", FakeCatalog(ONE, WORDS))
    return Wire(RestApplication(fake_data_plane(service or EchoService(), **changes), extensions))


def binary(tail: bytes = b"\0" * 8, **fields) -> tuple[bytes, dict[str, str]]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    head = msgspec.json.encode({"inputs": [tensor], "parameters": {"binary_data_output": True}, **fields})
    return head + tail, {"Inference-Header-Content-Length": str(len(head))}


def listed(**fields) -> dict:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}], **fields}
