"""The small worlds of the cases: one edge gateway, without Redis and without a central tier."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_models.certificate import save_certificate
from edge_models.samples import digits
from gateway.commands.certify import certify_models
from gateway.core.request import Caller, Request
from gateway.core.tensor import Array, Tensor
from gateway.wire.oip import json as oip_json
from gateway.wire.oip import proto as oip_proto

ADDRESS: Final = "127.0.0.1"
PATH: Final = f"/v2/models/{digits.MODEL}/infer"
METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
NOBODY: Final = f"{ADDRESS}:9"
CACHE_BYTES: Final = 64 << 20


def write_settings(
    folder: Path,
    *,
    http_port: int,
    grpc_port: int | None = None,
    workers: int = 1,
    transport: Mapping[str, Any] | None = None,
) -> Path:
    """Write the world of the cache: digits, whose certified answers are kept; return the settings' path.

    ``transport``: limits of connections that are not the usual ones.
    """
    edge, central = map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY))
    sample = digits.as_input(digits.load_split("calibration")[0])
    digest = _certify(folder, edge, central, sample)
    models = {
        "repository": str(digits.EDGE_REPOSITORY),
        "certificates": ".",
        "batching": {digits.MODEL: {"inline_max_rows": 1}},
    }
    cache = {"memory": {"max_bytes": CACHE_BYTES}}
    route = {"digest": digest, "cascade": {"on_central_down": "serve_edge"}}
    listen = {**_listen(http_port, grpc_port), "transport": transport or {}}
    settings = {"listen": listen, "models": models, "cache": cache, "workers": workers}
    return _write(folder, settings, route)


def write_computing(
    folder: Path, model: Path, sample: Array, *, http_port: int, batching: Mapping[str, Any]
) -> Path:
    """Write a world where ``model`` computes every answer, batched as ``batching`` says."""
    home = folder / "models" / digits.MODEL / digits.VERSION
    home.mkdir(parents=True, exist_ok=True)
    (home / "model.onnx").write_bytes(model.read_bytes())
    digest = _certify(folder, model, model, sample)
    models = {"repository": "models", "certificates": ".", "batching": {digits.MODEL: dict(batching)}}
    route = {"digest": digest, "cascade": {"on_central_down": "fail"}, "cache": {"enabled": False}}
    return _write(folder, {"listen": _listen(http_port), "models": models}, route)


def write_passing(folder: Path, *, http_port: int, upstream_port: int) -> Path:
    """Write a world where every request is forwarded to one HTTP endpoint: no cache, no model."""
    route = {"cache": {"enabled": False}}
    return _write(folder, {"listen": _listen(http_port)}, route, f"{ADDRESS}:{upstream_port}")


def request(rows: int = 1) -> Request:
    """Return a request whose images the edge is confident about, so that its answer is kept for an hour."""
    images, labels = digits.load_split("test")
    picture = digits.as_input(images[labels == 1][:1]).astype(np.float32)
    inputs = (Tensor.from_numpy(digits.INPUT, np.repeat(picture, rows, axis=0)),)
    return Request(model=digits.MODEL, inputs=inputs, caller=Caller(address=ADDRESS))


def wire_request(rows: int = 1) -> tuple[bytes, dict[str, str]]:
    """Return the same request as a binary HTTP body, and the header that it needs."""
    body = oip_json.encode_request(request(rows))
    assert body.header_length is not None, "the tensor goes out in binary"
    return body.join(), {"Inference-Header-Content-Length": str(body.header_length)}


def message() -> bytes:
    """Return the same request as a gRPC message."""
    return bytes(oip_proto.encode_request(request()).SerializeToString())


def json_request() -> tuple[bytes, dict[str, str]]:
    """Return the same request as JSON alone, and the header that it needs."""
    tensor = request().inputs[0]
    data = [float(value) for value in tensor.numpy().ravel()]
    entry = {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype, "data": data}
    return json.dumps({"inputs": [entry]}).encode(), {"Content-Type": "application/json"}


def _certify(folder: Path, edge: Path, central: Path, sample: Array) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    proof = certify_models(digits.MODEL, edge, central, sample)
    save_certificate(folder / f"{digits.MODEL}.json", proof)
    return proof.central_digest


def _listen(http_port: int, grpc_port: int | None = None) -> dict[str, str | None]:
    grpc = f"{ADDRESS}:{grpc_port}" if grpc_port else None
    return {"http": f"{ADDRESS}:{http_port}", "grpc": grpc, "admin": None}


def _write(
    folder: Path, settings: Mapping[str, Any], route: Mapping[str, Any], endpoint: str = NOBODY
) -> Path:
    """Write policy and settings, as JSON: it is YAML, too."""
    folder.mkdir(parents=True, exist_ok=True)
    to = {"tier": "central", "region": "here", "protocol": "http", "address": endpoint}
    policy = {
        "generation": 1,
        "regions": {"here": {}},
        "residency": {"anywhere": {"regions": ["*"]}},
        "tenants": {"anonymous": {"residency": "anywhere"}},
        "endpoints": {"central": to},
        "routes": [{"name": "digits", "match": {"model": digits.MODEL}, "endpoints": ["central"], **route}],
    }
    (folder / "policy.yaml").write_text(json.dumps(policy, indent=2))
    process = {
        "role": "edge",
        "region": "here",
        "policy": "policy.yaml",
        "trusted_proxies": ["127.0.0.0/8"],
        "telemetry": {"log_level": "warning"},
        "resilience": {"drain": {"drain_time_s": 0}},
    }
    file = folder / "edge.yaml"
    file.write_text(json.dumps(process | dict(settings), indent=2))
    return file
