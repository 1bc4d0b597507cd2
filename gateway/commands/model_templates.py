"""What `edgeway model init` writes: a model's configuration, settings, a policy, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from gateway.core.catalog import TensorSpec
from gateway.core.errors import printable
from gateway.core.tensor import BYTES

if TYPE_CHECKING:
    from edge_models.session import Session

_BATCH: Final = 64

_CONFIGURATION: Final = """\
# What Triton reads beside a model, and Edgeway too. Names, types and dimensions are the file's own.
name: "{name}"
platform: "onnxruntime_onnx"
# {why}
max_batch_size: {batch}
{input}
{output}
{batching}"""
_AS_THE_FILE: Final = """\
# What Triton reads beside a model, and Edgeway too.
name: "{name}"
platform: "onnxruntime_onnx"
# Batching, inputs and outputs: left out, those of the file hold. To say them, '{flat}' would need
# dims: [1] reshape: {{ shape: [] }}  as the batch is its only dimension; clients would get [rows, 1].
"""
""

_CENTRAL: Final = """\
# The central tier: it has the model that everybody trusts.   edgeway serve central.yaml
role: central
region: here                      # a region of policy.yaml
listen:
  http: 127.0.0.1:{central_http}           # 0.0.0.0:… for other machines; see docs/operating.md before that
  grpc: 127.0.0.1:{central_grpc}
  admin: null                     # health and metrics: HOST:PORT
models:
  repository: central             # central/<model>/<version>/model.onnx, config.pbtxt beside the versions
"""

_EDGE: Final = """\
# The edge: it is what clients ask.                           edgeway serve edge.yaml
role: edge
region: here
listen:
  http: 127.0.0.1:{http}
  grpc: 127.0.0.1:{grpc}
  admin: 127.0.0.1:{admin}           # /readyz, /metrics, /stack
policy: policy.yaml               # who may ask for what, and who answers; a change is taken while serving
{models}cache:
  memory: {{max_bytes: 67108864}}   # answers to what was asked before
"""

_MODELS: Final = """\
models:
  repository: edge                # edge/<model>/<version>/model.onnx: small ones
  certificates: certificates      # <model>.json, from `edgeway model certify`: without it all goes to central
"""
_NO_MODELS: Final = """\
# models:                         # a small model that answers here what it is sure of: see docs/models.md
#   repository: edge
#   certificates: certificates
"""

_POLICY: Final = """\
generation: 1                     # let it grow with every change
regions: {{here: {{}}}}
residency: {{anywhere: {{regions: ["*"]}}}}       # where data of a class may go
tenants: {{anonymous: {{residency: anywhere}}}}   # whoever brings no key; others have keys_sha256
endpoints:
  central: {{tier: central, region: here, protocol: grpc, address: '127.0.0.1:{central_grpc}'}}
routes:
- name: '{name}'
  match: {{model: '{name}'}}
  # Of central/{name}/1/model.onnx. Answers are cached, and certificates hold, for this file alone.
  digest: {digest}
  {cascade}
  endpoints: [central]
"""
_CASCADE: Final = "cascade: {on_central_down: serve_edge}   # the edge model is asked first"
_NO_CASCADE: Final = "# cascade: {on_central_down: serve_edge}   # where the edge has a model, too"

_NEXT: Final = """\
next:
  edgeway serve {folder}/central.yaml
  edgeway serve {folder}/edge.yaml
  curl http://127.0.0.1:{http}/v2/models/{path}"""
_CERTIFY: Final = """
The edge model answers by itself once it has a certificate, made from rows that it has never seen:
  edgeway model certify --model {name} --edge {folder}/edge/{name}/1/model.onnx \\
      --central {folder}/central/{name}/1/model.onnx --sample SAMPLE.npz \\
      --out {folder}/certificates/{name}.json"""


def configuration(name: str, session: Session) -> str:
    """Return the `config.pbtxt` of a model."""
    flat = [spec.name for spec in (*session.inputs, *session.outputs) if len(spec.shape) == 1]
    batched = session.batchable
    if batched and flat:
        return _AS_THE_FILE.format(name=name, flat=printable(flat[0]))
    return _CONFIGURATION.format(
        name=name,
        why="Rows of several requests are run together." if batched else "It joins no requests: 0.",
        batch=_BATCH if batched else 0,
        input=_tensors("input", session.inputs, batched=batched),
        output=_tensors("output", session.outputs, batched=batched),
        batching="dynamic_batching { }\n" if batched else "",
    )


def documents(values: Mapping[str, Any], *, cascade: bool) -> dict[str, str]:
    """Return both settings and the policy, by file name. ``cascade``: whether the edge has a model."""
    return {
        "central.yaml": _CENTRAL.format(**values),
        "edge.yaml": _EDGE.format(**values, models=_MODELS if cascade else _NO_MODELS),
        "policy.yaml": _POLICY.format(**values, cascade=_CASCADE if cascade else _NO_CASCADE),
    }


def next_steps(folder: Path, name: str, ports: Mapping[str, int], *, cascade: bool) -> str:
    """Return what to type now."""
    text = _NEXT + (_CERTIFY if cascade else "")
    words = {"folder": shlex.quote(str(folder)), "name": shlex.quote(name), "path": quote(name)}
    return text.format(**words, **ports)


def _tensors(side: str, specs: Sequence[TensorSpec], *, batched: bool) -> str:
    lines = []
    for spec in specs:
        dims = list(spec.shape[1:] if batched else spec.shape)
        lines.append(f'  {{ name: "{_escaped(spec.name)}" data_type: {_typed(spec)} dims: {dims} }}')
    return f"{side} [\n" + ",\n".join(lines) + "\n]"


def _typed(spec: TensorSpec) -> str:
    return "TYPE_STRING" if spec.datatype == BYTES else f"TYPE_{spec.datatype}"


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')
