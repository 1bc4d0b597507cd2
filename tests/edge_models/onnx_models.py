"""Tiny ONNX models, written where a repository expects them.

Example::

    repository = write(tmp_path, "digits", mlp(), version="1")     # tmp_path/digits/1/model.onnx
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
Value = tuple[str, int, list[int | str | None]]


def model(nodes: list[Any], inputs: list[Value], outputs: list[Value], **constants: Any) -> bytes:
    """A model of ``nodes`` between ``inputs`` and ``outputs``."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString())


def affine(scale: float = 2.0, batch: int | str | None = "batch") -> bytes:
    """image [batch, 4] → probabilities [batch, 4] = image x scale, exact in every row."""
    return model(
        [helper.make_node("Mul", ["image", "scale"], ["probabilities"])],
        [("image", FLOAT, [batch, 4])],
        [("probabilities", FLOAT, [batch, 4])],
        scale=np.float32(scale),
    )


def softmax(classes: int = 3) -> bytes:
    """image [batch, 4] → label [batch], probabilities [batch, classes]: softmax of the first pixels."""
    return model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
            helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
        ],
        [("image", FLOAT, ["batch", 4])],
        [("label", INT64, ["batch"]), ("probabilities", FLOAT, ["batch", classes])],
        weights=np.eye(4, classes, dtype=np.float32),
    )


def two_inputs() -> bytes:
    """left + right, both [batch, 2], → total [batch, 2]."""
    return model(
        [helper.make_node("Add", ["left", "right"], ["total"])],
        [("left", FLOAT, ["batch", 2]), ("right", FLOAT, ["batch", 2])],
        [("total", FLOAT, ["batch", 2])],
    )


def lookup() -> bytes:
    """index [batch, 1] → value [batch, 1], one of four; any other index fails the whole run."""
    return model(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        [("index", INT64, ["batch", 1])],
        [("value", FLOAT, ["batch", 1])],
        table=np.array([10, 11, 12, 13], np.float32),
    )


def refold() -> bytes:
    """image [batch, free] → folded [batch, 3], and fails unless a row holds three numbers."""
    return model(
        [helper.make_node("Reshape", ["image", "shape"], ["folded"], allowzero=1)],
        [("image", FLOAT, ["batch", "free"])],
        [("folded", FLOAT, ["batch", 3])],
        shape=np.array([1, 3]),
    )


def product() -> bytes:
    """image [batch, free] → folded [batch, 3], and fails unless a row holds four numbers."""
    return model(
        [helper.make_node("MatMul", ["image", "weights"], ["folded"], name="fold")],
        [("image", FLOAT, ["batch", "free"])],
        [("folded", FLOAT, ["batch", 3])],
        weights=np.arange(12, dtype=np.float32).reshape(4, 3),
    )


def echo_text() -> bytes:
    """text [batch, 1] → echo [batch, 1]."""
    return model(
        [helper.make_node("Identity", ["text"], ["echo"])],
        [("text", STRING, ["batch", 1])],
        [("echo", STRING, ["batch", 1])],
    )


def text_classifier() -> bytes:
    """t [batch, 1] of texts → p [batch, 2]: probabilities of two classes, the same for each text."""
    return model(
        [
            helper.make_node("Shape", ["t"], ["rows"]),
            helper.make_node("Mul", ["rows", "two"], ["shape"]),
            helper.make_node("Expand", ["half", "shape"], ["p"]),
        ],
        [("t", STRING, ["batch", 1])],
        [("p", FLOAT, ["batch", 2])],
        two=np.array([1, 2]),
        half=np.array([[0.5, 0.5]], np.float32),
    )


def total() -> bytes:
    """image [batch, 4] → sum [1, 4] over the batch: no output row belongs to one input row."""
    return model(
        [helper.make_node("ReduceSum", ["image", "axes"], ["sum"])],
        [("image", FLOAT, ["batch", 4])],
        [("sum", FLOAT, [1, 4])],
        axes=np.array([0]),
    )


def untold_total() -> bytes:
    """As ``total``, but the file claims that the output has one row per input row."""
    return model(
        [helper.make_node("ReduceSum", ["image", "axes"], ["sum"])],
        [("image", FLOAT, [None, 4])],
        [("sum", FLOAT, [None, 4])],
        axes=np.array([0]),
    )


def kept(rows: str = "some") -> bytes:
    """image [batch, 4] → kept [some, 4]: the rows whose first pixel is above zero, as many as there are.

    With ``rows`` "batch" the file claims that there is one per row.
    """
    return model(
        [
            helper.make_node("Gather", ["image", "zero"], ["pixel"], axis=1),
            helper.make_node("Greater", ["pixel", "nought"], ["wanted"]),
            helper.make_node("Compress", ["image", "wanted"], ["kept"], axis=0),
        ],
        [("image", FLOAT, ["batch", 4])],
        [("kept", FLOAT, [rows, 4])],
        zero=np.int64(0),
        nought=np.float32(0),
    )


def sequence_output() -> bytes:
    """A model whose output is a sequence, which the protocol cannot carry."""
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["image"], ["parts"])],
        "tiny",
        [helper.make_tensor_value_info("image", FLOAT, ["batch", 4])],
        [helper.make_tensor_sequence_value_info("parts", FLOAT, None)],
    )
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString())


def mlp(sizes: Iterable[int] = (784, 32, 10), seed: int = 7) -> bytes:
    """image [batch, sizes[0]] → probabilities [batch, sizes[-1]]: dense layers with ReLU, then softmax."""
    random = np.random.default_rng(seed)
    widths = list(sizes)
    nodes, constants, name = [], {}, "image"
    for index, (rows, columns) in enumerate(pairwise(widths)):
        constants[f"w{index}"] = (random.normal(size=(rows, columns)) / rows**0.5).astype(np.float32)
        nodes.append(helper.make_node("MatMul", [name, f"w{index}"], [f"h{index}"]))
        name = f"h{index}"
        if index < len(widths) - 2:
            nodes.append(helper.make_node("Relu", [name], [f"r{index}"]))
            name = f"r{index}"
    nodes.append(helper.make_node("Softmax", [name], ["probabilities"], axis=-1))
    return model(
        nodes,
        [("image", FLOAT, ["batch", widths[0]])],
        [("probabilities", FLOAT, ["batch", widths[-1]])],
        **constants,
    )


def write(repository: Path, name: str, content: bytes, version: str = "1") -> Path:
    """Write ``content`` as a version of a model and return the repository's folder."""
    folder = repository / name / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    return repository


def write_external(path: Path) -> None:
    """Write a model whose weights are in another file beside it."""
    onnx.save(
        onnx.load_from_string(mlp((4, 3))),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )


def linear(weights: Any, name: str = "logits") -> bytes:
    """image [batch, pixels] → ``name`` [batch, columns]: no more than a product."""
    return model(
        [helper.make_node("MatMul", ["image", "weights"], [name])],
        [("image", FLOAT, ["batch", len(weights)])],
        [(name, FLOAT, ["batch", weights.shape[1]])],
        weights=weights,
    )


def sigmoid(weights: Any) -> bytes:
    """image [batch, 4] → probability [batch, columns], each by itself."""
    return model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["probability"]),
        ],
        [("image", FLOAT, ["batch", 4])],
        [("probability", FLOAT, ["batch", weights.shape[1]])],
        weights=weights,
    )


def heads(first: Any, second: Any) -> bytes:
    """image [batch, 4] → first, second [batch, 3]: two classifiers in one, five times as sure as they should."""
    return model(
        [
            helper.make_node("MatMul", ["image", "w0"], ["h0"]),
            helper.make_node("Softmax", ["h0"], ["first"], axis=-1),
            helper.make_node("MatMul", ["image", "w1"], ["h1"]),
            helper.make_node("Softmax", ["h1"], ["second"], axis=-1),
        ],
        [("image", FLOAT, ["batch", 4])],
        [("first", FLOAT, ["batch", 3]), ("second", FLOAT, ["batch", 3])],
        w0=first * 5,
        w1=second * 5,
    )


def softmax_of(weights: Any) -> bytes:
    """image [batch, 4] → probabilities [batch, columns]."""
    return model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        [("image", FLOAT, ["batch", 4])],
        [("probabilities", FLOAT, ["batch", weights.shape[1]])],
        weights=weights,
    )


def softmax_labelled(weights: Any) -> bytes:
    """image [batch, 4] → label [batch], probabilities [batch, columns]."""
    return model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        [("image", FLOAT, ["batch", 4])],
        [("label", INT64, ["batch"]), ("probabilities", FLOAT, ["batch", weights.shape[1]])],
        weights=weights,
    )


def ensemble(weights: Any) -> bytes:
    """image [batch, pixels] → value [batch, 1], members [batch, 2], apart by a tenth of the first pixel."""
    skewed = weights.copy()
    skewed[0] += np.float32(0.1)
    return model(
        [
            helper.make_node("MatMul", ["image", "w0"], ["value"]),
            helper.make_node("MatMul", ["image", "both"], ["members"]),
        ],
        [("image", FLOAT, ["batch", len(weights)])],
        [("value", FLOAT, ["batch", 1]), ("members", FLOAT, ["batch", 2])],
        w0=skewed,
        both=np.concatenate([weights, skewed], axis=1),
    )


def echo(free: str) -> bytes:
    """image [batch, free] → same [batch, free]."""
    return model(
        [helper.make_node("Identity", ["image"], ["same"])],
        [("image", FLOAT, ["batch", free])],
        [("same", FLOAT, ["batch", free])],
    )


def spell(alphabet: tuple[str, ...]) -> bytes:
    """image [batch, frames, 3] → frames [batch, frames, 3], with its alphabet, if it has one, as metadata."""
    made = onnx.load_from_string(
        model(
            [helper.make_node("Identity", ["image"], ["spelled"])],
            [("image", FLOAT, ["batch", "frames", 3])],
            [("spelled", FLOAT, ["batch", "frames", 3])],
        )
    )
    if alphabet:
        helper.set_model_props(made, {"character": "\n".join(alphabet)})
    return bytes(made.SerializeToString())


def linear_of(weights: Any, kind: str) -> bytes:
    """image [batch, pixels] → answer [batch, columns]: a product, and an operator such as Sigmoid after it."""
    return model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["logits"]),
            helper.make_node(kind, ["logits"], ["answer"]),
        ],
        [("image", FLOAT, ["batch", weights.shape[0]])],
        [("answer", FLOAT, ["batch", weights.shape[1]])],
        weights=weights,
    )
