"""An edge gateway in front of a central one: cascade, cache and upstreams between the suite and the models.

Beside digits there are models that answer their inputs: `echo` has one of each datatype that JSON can carry,
`echo_half` FP16, which travels raw.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto, helper

from edge_models.certificate import save_certificate
from edge_models.samples import digits
from gateway.commands.certify import certify_models

ADDRESS: Final = "127.0.0.1"
WIDTH: Final = 6
ECHO: Final = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
HALF: Final = {"FP16": TensorProto.FLOAT16}

_POLICY: Final = """\
generation: 1
regions: {{here: {{}}}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}}}
endpoints: {{central: {{tier: central, region: here, protocol: grpc, address: '{address}:{grpc}'}}}}
routes:
- name: digits
  match: {{model: digits}}
  digest: {digest}
  cascade: {{on_central_down: serve_edge}}
  endpoints: [central]
- name: echo
  match: {{model: "echo*"}}
  endpoints: [central]
"""
_EDGE: Final = """\
role: edge
region: here
listen: {{http: '{address}:{http}', grpc: '{address}:{grpc}', admin: null}}
policy: policy.yaml
models: {{repository: '{repository}', certificates: '.'}}
cache: {{memory: {{max_bytes: 67108864}}}}
resilience: {{drain: {{drain_time_s: 0}}}}
"""
_CENTRAL: Final = """\
role: central
region: here
listen: {{http: null, grpc: '{address}:{grpc}', admin: null}}
models: {{repository: models}}
resilience: {{drain: {{drain_time_s: 0}}}}
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the edge listens, and the central gateway behind it."""

    http: int
    grpc: int
    central: int


def write(folder: Path, ports: Ports) -> tuple[Path, Path]:
    """Write models, policy and settings; return the settings of the central gateway and of the edge."""
    write_models(folder / "models")
    edge, central = map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY))
    proof = certify_models(digits.MODEL, edge, central, digits.as_input(digits.load_split("calibration")[0]))
    save_certificate(folder / f"{digits.MODEL}.json", proof)
    policy = _POLICY.format(address=ADDRESS, grpc=ports.central, digest=proof.central_digest)
    (folder / "policy.yaml").write_text(policy)
    settings = folder / "central.yaml", folder / "edge.yaml"
    settings[0].write_text(_CENTRAL.format(address=ADDRESS, grpc=ports.central))
    settings[1].write_text(
        _EDGE.format(address=ADDRESS, http=ports.http, grpc=ports.grpc, repository=digits.EDGE_REPOSITORY)
    )
    return settings


def write_models(repository: Path) -> None:
    """Write what a central gateway serves: digits, `echo`, `echo_half`."""
    shutil.copytree(digits.CENTRAL_REPOSITORY, repository, dirs_exist_ok=True)
    for name, datatypes in (("echo", ECHO), ("echo_half", HALF)):
        file = repository / name / "1" / "model.onnx"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_echo(datatypes))


def _echo(datatypes: Mapping[str, int]) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in datatypes],
        "echo",
        [
            helper.make_tensor_value_info(f"in_{name}", kind, ["batch", WIDTH])
            for name, kind in datatypes.items()
        ],
        [
            helper.make_tensor_value_info(f"out_{name}", kind, ["batch", WIDTH])
            for name, kind in datatypes.items()
        ],
    )
    opset = helper.make_opsetid("", 17)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    return bytes(model.SerializeToString())
