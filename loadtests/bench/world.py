"""The small world of a benchmark: one edge gateway that serves digits, without Redis or a central tier."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from edge_models.certify import save_certificate
from edge_models.samples import digits
from gateway.commands.certify import certify_models
from gateway.core.request import Caller, Request
from gateway.core.tensor import Tensor
from gateway.wire import oip_json

ADDRESS: Final = "127.0.0.1"


def write_settings(folder: Path, *, http_port: int, grpc_port: int | None = None) -> Path:
    """Write settings, policy and certificate; return the settings' path."""
    folder.mkdir(parents=True, exist_ok=True)
    edge, central = map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY))
    sample = digits.as_input(digits.load_split("calibration")[0])
    proof = certify_models(digits.MODEL, edge, central, sample)
    save_certificate(folder / f"{digits.MODEL}.json", proof)
    (folder / "policy.yaml").write_text(
        f"""\
generation: 1
regions: {{here: {{}}}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}}}
endpoints: {{central: {{tier: central, region: here, protocol: grpc, address: '{ADDRESS}:9'}}}}
routes:
- name: digits
  match: {{model: digits}}
  digest: {proof.central_digest}
  cascade: {{on_central_down: serve_edge}}
  endpoints: [central]
"""
    )
    grpc = f"'{ADDRESS}:{grpc_port}'" if grpc_port else "null"
    settings = folder / "edge.yaml"
    settings.write_text(
        f"""\
role: edge
region: here
listen: {{http: '{ADDRESS}:{http_port}', grpc: {grpc}, admin: null}}
policy: policy.yaml
trusted_proxies: [127.0.0.0/8]
models:
  repository: '{digits.EDGE_REPOSITORY}'
  certificates: '.'
  batching: {{digits: {{inline_max_rows: 1}}}}
cache: {{memory: {{max_bytes: 67108864}}}}
telemetry: {{log_level: warning}}
resilience: {{drain: {{drain_time_s: 0}}}}
"""
    )
    return settings


def request() -> Request:
    """Return a request whose picture the edge is sure about, so that its answer is kept for an hour."""
    images, labels = digits.load_split("test")
    picture = digits.as_input(images[labels == 1][:1]).astype(np.float32)
    inputs = (Tensor.from_numpy(digits.INPUT, picture),)
    return Request(model=digits.MODEL, inputs=inputs, caller=Caller(address=ADDRESS))


def wire_request() -> tuple[bytes, int]:
    """Return the same request as a binary HTTP body, and the length of its JSON part."""
    body = oip_json.encode_request(request())
    assert body.header_length is not None, "the tensor goes out in binary"
    return body.join(), body.header_length
