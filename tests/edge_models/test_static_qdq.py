"""ONNX Runtime's tools at work: what they trip over is skipped, said, and leaves nothing behind."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.tools import symbolic_shape_infer

from edge_models.exported_model import read_exported_model
from edge_models.sample_feeds import Feeds
from edge_models.session import Session
from edge_models.static_qdq import (
    FLOAT_MODEL,
    StaticQdq,
    Toolkit,
    first_line,
    integer_layers,
    load_toolkit,
    quiet,
)
from tests.edge_models.exported_models import exported, sample_for, saved


def make(model: str | Path, folder: Path, toolkit: Toolkit):
    """Make a model int8 and return the graph and what was skipped."""
    path = exported(model) if isinstance(model, str) else model
    original = read_exported_model(onnx, path).proto
    (folder / FLOAT_MODEL).write_bytes(original.SerializeToString())
    feeds = Feeds(sample_for(path), Session(folder / FLOAT_MODEL).inputs)
    steps: list[tuple[str, int, int]] = []
    with quiet(toolkit.runtime):
        maker = StaticQdq(toolkit, folder, lambda *step: steps.append(step))
        proto, skipped = maker.make(original, feeds, reduce_range=True)
    assert repr(maker)
    assert ("measuring ranges", 1, len(feeds)) in steps
    return proto, skipped


def failing_without(toolkit: Toolkit, *needed: str) -> Toolkit:
    """Tools that give up unless they are called with all of the options ``needed``."""

    def preprocess(source, target, **options) -> None:
        if not all(options.get(name) for name in needed):
            raise AttributeError(f"\n  no way with {sorted(options)}\nand more\n")
        toolkit.preprocess(source, target, **options)

    return Toolkit(toolkit.onnx, toolkit.runtime, toolkit.quantization, preprocess)


def test_nothing_is_skipped_where_nothing_fails(tmp_path: Path) -> None:
    proto, skipped = make("torch_linear_script_13", tmp_path, load_toolkit())

    assert skipped == ""
    assert integer_layers(proto.graph) == 3


@pytest.mark.parametrize("name", ["keras_pair_export", "skl_mlp_text", "skl_mixed_columns"])
def test_symbolic_shapes_are_skipped_where_they_fail(tmp_path: Path, name: str) -> None:
    """What ONNX Runtime's own inference gives up on: text operators, an index that is computed."""
    proto, skipped = make(name, tmp_path, load_toolkit())

    assert skipped == (
        "symbolic shapes were skipped, since ONNX Runtime failed with them (Incomplete symbolic shape inference)"
    )
    assert integer_layers(proto.graph) >= 2


def test_a_failure_leaves_nothing_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Symbolic shape inference dumps the model and its weights where it gives up."""
    here, folder = tmp_path / "here", tmp_path / "folder"
    here.mkdir()
    folder.mkdir()
    monkeypatch.chdir(here)

    make("skl_mlp_text", folder, load_toolkit())

    assert not list(here.iterdir())
    assert Path.cwd() == here


@pytest.mark.parametrize(
    ("needed", "notice"),
    [
        (("skip_symbolic_shape",), "symbolic shapes were skipped"),
        (("skip_optimization",), "symbolic shapes and graph optimizations were skipped"),
        (("skip_onnx_shape",), "shapes and graph optimizations were skipped"),
    ],
)
def test_less_and_less_is_attempted(tmp_path: Path, needed: tuple[str, ...], notice: str) -> None:
    """And the first complaint is told, in one line."""
    proto, skipped = make("torch_linear_script_13", tmp_path, failing_without(load_toolkit(), *needed))

    assert skipped == f"{notice}, since ONNX Runtime failed with them (no way with [])"
    assert integer_layers(proto.graph) == 3


def test_what_fails_in_every_way_is_reported_with_the_first_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^ONNX Runtime cannot quantize it: no way with \[\]$"):
        make("torch_linear_script_13", tmp_path, failing_without(load_toolkit(), "no_such_option"))


@pytest.mark.parametrize(
    "name", ["torch_pair_script_17", "skl_mlp_zipmap", "keras_conv_export", "torch_conv_dynamo_20"]
)
def test_inputs_and_outputs_stay_declared_as_they_were(tmp_path: Path, name: str) -> None:
    """Down to the names of free dimensions, by which the gateway knows what can be batched."""
    proto, _ = make(name, tmp_path, load_toolkit())

    original = read_exported_model(onnx, exported(name)).proto.graph
    assert list(proto.graph.input) == list(original.input)
    assert list(proto.graph.output) == list(original.output)


def test_what_a_branch_uses_stays(tmp_path: Path) -> None:
    """A graph inside an If takes values of the one around it by their names alone."""
    branches = [
        helper.make_graph(
            [helper.make_node(kind, ["scores"], [kind])],
            kind,
            [],
            [helper.make_tensor_value_info(kind, TensorProto.FLOAT, None)],
        )
        for kind in ("Relu", "Neg")
    ]
    nodes = [
        helper.make_node("Gemm", ["rows", "w", "b"], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["p"], name="p"),
        helper.make_node("ReduceSum", ["p"], ["sum"], name="sum", keepdims=0),
        helper.make_node("Greater", ["sum", "one"], ["many"], name="many"),
        helper.make_node("If", ["many"], ["y"], name="y", then_branch=branches[0], else_branch=branches[1]),
    ]
    constants = {"w": np.ones((8, 4)), "b": np.zeros(4), "one": np.ones(())}
    graph = helper.make_graph(
        nodes,
        "branches",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = saved(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "if.onnx")

    proto, skipped = make(path, tmp_path, load_toolkit())

    assert skipped == ""
    assert integer_layers(proto.graph) == 1


@pytest.mark.parametrize(("depth", "skipped"), [(4, False), (5, True), (24, True)])
def test_graphs_deep_in_one_another_get_no_symbolic_shapes(
    tmp_path: Path, depth: int, skipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each level would double the time, to hours here."""
    inferred: list[object] = []
    real = symbolic_shape_infer.SymbolicShapeInference.infer_shapes

    def infer(model: object, *args: object, **options: object) -> object:
        inferred.append(model)
        return real(model, *args, **options)

    monkeypatch.setattr(symbolic_shape_infer.SymbolicShapeInference, "infer_shapes", infer)
    _, message = make(nested(tmp_path / "deep.onnx", depth), tmp_path, load_toolkit())

    assert message == (
        f"symbolic shapes were skipped, since graphs lie {depth} deep in one another" if skipped else ""
    )
    assert bool(inferred) != skipped


def nested(path: Path, depth: int) -> Path:
    """Write a model of one layer with an If behind it, in it another, and so on."""
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    simple = helper.make_graph([helper.make_node("Neg", ["scores"], ["y"])], "simple", [], [scores])
    inner = simple
    for level in range(depth):
        choice = helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=simple)
        inner = helper.make_graph([choice], f"level {level}", [], [scores])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["rows", "w"], ["scores"]), *inner.node],
        "deep",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(np.ones((8, 4), np.float32), "w"),
            numpy_helper.from_array(np.array(True), "yes"),
        ],
    )
    return saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            (
                "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. Name:'r' Status "
                "Message: /a/b/reshape_helper.h:91 onnxruntime::ReshapeHelper(const onnxruntime::TensorShape&, bool) size "
                "was false. Input shape:{1}\nmore"
            ),
            "Non-zero status code returned while running Reshape node. Name:'r' size was false. Input shape:{1}",
        ),
        (
            (
                "[ONNXRuntimeError] : 1 : FAIL : /a/model_load_utils.h:46 void onnxruntime::model_load_utils::"
                "Validate(const std::unordered_map<std::__cxx11::basic_string<char>, int>&, bool, int) Only opset 26 (of 99)."
            ),
            "Only opset 26 (of 99).",
        ),
        ("/a/b.cc:1 T* onnxruntime::f() const [with T = float] no", "no"),
        ("", "RuntimeError"),
    ],
)
def test_an_error_is_one_line_without_places_in_foreign_source(message: str, line: str) -> None:
    assert first_line(RuntimeError(message)) == line


def test_logging_is_as_it_was_afterwards() -> None:
    toolkit = load_toolkit()

    with quiet(toolkit.runtime):
        assert not logging.getLogger("any").isEnabledFor(logging.CRITICAL)

    assert logging.getLogger("any").isEnabledFor(logging.CRITICAL)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime.quantization.shape_inference"])
def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without onnx or sympy the message says what to install."""
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ValueError, match="extras `models` and `cpu`"):
        load_toolkit()
