"""Models to be cut, in ONNX's own text form.

Example::

    graph = ModelGraph(proto(TOWER).graph)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

from edge_models.splitting.split_model import Splitter
from tests.edge_models import onnx_models

HEAD = '<ir_version: 9, opset_import: ["" : 17, "ai.onnx.ml" : 3, "com.microsoft" : 1]>'

TOWER = """
tower (float[n, 4] x) => (float[n, 3] y) {
  [first] a = MatMul (x, w0)
  [second] b = Relu (a)
  [third] c = MatMul (b, w1)
  [last] y = Softmax <axis = 1> (c)
}
"""
"""x → first → second → third → last → y, with 6 numbers between."""

SKIP = """
skip (float[n, 4] x) => (float[n, 3] y) {
  [first] a = MatMul (x, w0)
  [second] b = Relu (a)
  [add] s = Add (a, b)
  [third] y = MatMul (s, w1)
}
"""
"""a goes around second."""

TWO = """
two (float[n, 4] x, float[n, 3] user) => (float[n, 3] y, float[n, 6] embedding) {
  [first] a = MatMul (x, w0)
  [second] embedding = Relu (a)
  [third] c = MatMul (embedding, w1)
  [sum] y = Add (c, user)
}
"""
"""A second input that only the end needs, and an output in the middle."""

INSIDE = """
inside (float[n, 4] x, bool flag) => (float[n, 6] y) {
  [first] a = MatMul (x, w0)
  [second] b = Relu (a)
  [choice] y = If (flag) <
    then_branch = yes () => (float[n, 6] p) { p = Add (b, b) },
    else_branch = no () => (float[n, 6] q) { q = Neg (a) }
  >
}
"""
"""The graphs within `choice` need a and b without naming them as inputs."""

WEIGHTS = {
    "w0": np.random.default_rng(3).normal(size=(4, 6)).astype(np.float32),
    "w1": np.random.default_rng(4).normal(size=(6, 3)).astype(np.float32),
}


def proto(text: str, **weights: Any) -> Any:
    """The model of ``text``; weights that it needs are those of ``WEIGHTS``, or given."""
    model = parser.parse_model(HEAD + text)
    for name, array in {**WEIGHTS, **weights}.items():
        if name in text:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def write(folder: Path, text: str, **weights: Any) -> Path:
    """Write the model of ``text`` as version 1 of a model, and return its file: tmp_path/tower/1/model.onnx."""
    model = proto(text, **weights)
    name = model.graph.name
    return onnx_models.write(folder, name, model.SerializeToString()) / name / "1" / "model.onnx"


def write_split(
    folder: Path, text: str, at: Sequence[str], passed: Sequence[str] = (), **weights: Any
) -> Path:
    """Write the model of ``text`` in two files; return the version's folder: tmp_path/tower/1."""
    model = proto(text, **weights)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "draft.onnx"
    draft.write_bytes(model.SerializeToString())
    made = Splitter(onnx, draft).split(at, passed)
    draft.unlink()
    version = folder / model.graph.name / "1"
    version.mkdir(parents=True)
    (version / "features.onnx").write_bytes(made.features)
    (version / "head.onnx").write_bytes(made.head)
    return version
