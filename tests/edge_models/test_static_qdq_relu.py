"""ONNX Runtime drops a Relu whose pair clips as well: whatever lies around it, the answers stay clipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_models.quantize import quantize
from edge_models.session import Session
from gateway.core.tensor import Array
from tests.edge_models.onnx_models import model

WIDTH = 32
FLOAT = TensorProto.FLOAT
CHANCE = np.random.default_rng(11)
ROWS = CHANCE.normal(size=(200, WIDTH)).astype(np.float32)
CONSTANTS: dict[str, Any] = {
    "w": CHANCE.normal(size=(WIDTH, WIDTH)).astype(np.float32) / 4,
    "v": CHANCE.normal(size=(WIDTH, WIDTH)).astype(np.float32) / 4,
    "b": CHANCE.normal(size=WIDTH).astype(np.float32),
    "ones": np.ones(WIDTH, np.float32),
    "zero": np.float32(0),
    "six": np.float32(6),
    "shape": np.array([-1, WIDTH]),
}
GEMM = ("Gemm", "x w b", "h")
MATMUL = ("MatMul", "x w", "h")
RELU = ("Relu", "h", "r")


def both(folder: Path, *steps: Any, outputs: str = "p") -> tuple[list[Array], list[Array], list[str]]:
    """Return what the float and the int8 model of these nodes answer, and the operators of the latter."""
    nodes = [
        helper.make_node(step[0], step[1].split(), [step[2]], **(step[3] if len(step) > 3 else {}))
        for step in steps
    ]
    used = {name for node in nodes for name in node.input}
    content = model(
        nodes,
        [("x", FLOAT, ["n", WIDTH])],
        [(name, FLOAT, ["n", WIDTH]) for name in outputs.split()],
        **{name: array for name, array in CONSTANTS.items() if name in used},
    )
    (folder / "float.onnx").write_bytes(content)
    made = quantize(folder / "float.onnx", ROWS)
    assert made.useless == ""
    (folder / "int8.onnx").write_bytes(made.content)
    old, new = (Session(folder / f"{name}.onnx").run({"x": ROWS}) for name in ("float", "int8"))
    return old, new, [node.op_type for node in onnx.load_from_string(made.content).graph.node]


def assert_close(old: list[Array], new: list[Array], part: float = 0.04) -> None:
    """No answer is farther off than this part of what the float model's reach."""
    for first, second in zip(old, new, strict=True):
        assert np.abs(first - second).max() < part * np.abs(first).max()


@pytest.mark.parametrize(
    "steps",
    [
        (MATMUL, ("Relu", "h", "p")),
        (GEMM, ("Relu", "h", "p")),
        (MATMUL, ("Add", "h x", "sum"), ("Relu", "sum", "p")),
        (MATMUL, RELU, ("MatMul", "r v", "k"), ("Add", "r k", "sum"), ("Relu", "sum", "p")),
        (MATMUL, RELU, ("Relu", "r", "p")),
        (MATMUL, RELU, ("Identity", "r", "p")),
    ],
    ids=["MatMul", "Gemm", "Add", "residual", "twice", "Identity"],
)
def test_a_last_relu_clips(tmp_path: Path, steps: tuple[Any, ...]) -> None:
    old, new, _ = both(tmp_path, *steps)

    assert_close(old, new)
    assert new[0].min() == 0


@pytest.mark.parametrize(
    "steps",
    [
        (GEMM, RELU, ("Sigmoid", "r", "q"), ("MatMul", "q v", "p")),
        (GEMM, RELU, ("Abs", "r", "q"), ("MatMul", "q v", "p")),
        (GEMM, RELU, ("LayerNormalization", "r ones", "q"), ("MatMul", "q v", "p")),
        (GEMM, RELU, ("LayerNormalization", "r ones", "p")),
        (GEMM, RELU, ("Mul", "r six", "p")),
        (GEMM, RELU, ("Reshape", "r shape", "p")),
        (MATMUL, RELU, ("Softmax", "r", "p", {"axis": -1})),
    ],
    ids=["Sigmoid", "Abs", "LayerNormalization", "a last one", "Mul", "Reshape", "Softmax"],
)
def test_a_relu_before_a_float_operator_clips(tmp_path: Path, steps: tuple[Any, ...]) -> None:
    old, new, _ = both(tmp_path, *steps)

    assert_close(old, new)


def test_a_relu_with_two_users_clips_for_both(tmp_path: Path) -> None:
    old, new, _ = both(tmp_path, GEMM, RELU, ("Sigmoid", "r", "q"), ("MatMul", "r v", "p"), outputs="p q")

    assert_close(old, new)
    assert new[1].min() == 0.5


def test_a_layer_with_a_relu_and_another_user_keeps_the_relu(tmp_path: Path) -> None:
    """What the other user gets is not clipped."""
    old, new, operators = both(
        tmp_path, MATMUL, ("Relu", "h", "p"), ("Neg", "h", "q"), ("Relu", "q", "s"), outputs="p q s"
    )

    assert "Relu" in operators
    assert_close(old, new)
    assert new[1].min() < 0
    assert new[0].min() == new[2].min() == 0


@pytest.mark.parametrize(
    "steps",
    [
        (MATMUL, ("Clip", "h zero six", "p")),
        (MATMUL, ("Clip", "h zero", "p")),
        (GEMM, RELU, ("Clip", "r zero six", "p")),
        (GEMM, ("Clip", "h zero six", "q"), ("Relu", "q", "p")),
    ],
    ids=["0 … 6", "0 …", "after a Relu", "before a Relu"],
)
def test_a_clip_stays(tmp_path: Path, steps: tuple[Any, ...]) -> None:
    old, new, operators = both(tmp_path, *steps)

    assert {"Clip", "Relu"} & set(operators)
    assert_close(old, new, 0.1)
    assert new[0].min() == 0
    assert new[0].max() <= old[0].max() * 1.04


# What ONNX Runtime does not see when it drops a Relu


@pytest.mark.parametrize("then", [("Identity", "r", "p"), ("MatMul", "r v", "p")], ids=["last", "between"])
def test_what_a_relu_takes_may_be_an_output_and_is_not_clipped(tmp_path: Path, then: Any) -> None:
    """Its range would be the Relu's otherwise, and no value below 0."""
    old, new, _ = both(tmp_path, MATMUL, RELU, then, outputs="h p")

    assert_close(old, new)
    assert new[0].min() < 0


@pytest.mark.parametrize("value", ["h", "r"])
def test_a_graph_inside_takes_what_a_relu_takes_or_gives(tmp_path: Path, value: str) -> None:
    """By its name alone: the Relu's input would be gone, its output would be what was not clipped."""
    branches = [
        helper.make_graph(
            [helper.make_node(kind, [value], [kind])],
            kind,
            [],
            [helper.make_tensor_value_info(kind, FLOAT, None)],
        )
        for kind in ("Identity", "Neg")
    ]
    old, new, _ = both(
        tmp_path,
        MATMUL,
        RELU,
        ("ReduceSum", "x", "sum", {"keepdims": 0}),
        ("Greater", "sum zero", "many"),
        ("If", "many", "q", {"then_branch": branches[0], "else_branch": branches[1]}),
        ("MatMul", "r v", "p"),
        outputs="q p",
    )

    assert_close(old, new)
    assert (new[0].min() < 0 < new[0].max()) == (value == "h")
