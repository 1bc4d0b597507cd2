"""Static QDQ: integers inside, floats where confidence is read, and the same bits in any company."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_models.isa import instruction_set_class
from edge_models.quantize import quantize_static_qdq
from gateway.core.tensor import Array

FEATURES, HIDDEN, CLASSES = 64, 16, 5
CHANCE = np.random.default_rng(5)
ROWS = CHANCE.random((300, FEATURES), np.float32)


def gemm(name: str, source: str, weight: Array) -> tuple[Any, list[Any]]:
    bias = np.linspace(-0.1, 0.1, weight.shape[1], dtype=np.float32)
    node = helper.make_node("Gemm", [source, f"{name}.w", f"{name}.b"], [name], name=name)
    return node, [numpy_helper.from_array(weight, f"{name}.w"), numpy_helper.from_array(bias, f"{name}.b")]


def write_model(path: Path, *, softmax: bool = True, first: Array | None = None) -> Path:
    """Write a float network of two dense layers."""
    if first is None:
        first = CHANCE.normal(0, 0.3, (FEATURES, HIDDEN)).astype(np.float32)
    hidden, hidden_weights = gemm("hidden", "rows", first)
    mixed = np.cos(np.arange(HIDDEN * CLASSES, dtype=np.float32)).reshape(HIDDEN, CLASSES)
    last, last_weights = gemm("scores", "kept", mixed)
    nodes = [hidden, helper.make_node("Relu", ["hidden"], ["kept"], name="kept"), last]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["answer"], name="answer", axis=1))
    end = "answer" if softmax else "scores"
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["n", CLASSES])],
        hidden_weights + last_weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def open_model(path: Path, *, precise: bool = True, optimized: Path | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", str(int(precise)))
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: Any, rows: Array) -> Array:
    answer: Array = session.run(None, {"rows": rows})[0]
    return answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold a float model and its quantized form."""
    folder = tmp_path_factory.mktemp("models")
    quantize_static_qdq(write_model(folder / "float.onnx"), folder / "int8.onnx", ROWS)
    return folder


def types(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_activations_are_unsigned_and_weights_signed_7_bit(folder: Path) -> None:
    """No weight is larger than 64, so that no pair of products leaves 16 bits."""
    model = onnx.load(folder / "int8.onnx")
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    weights = [array for array in arrays.values() if array.dtype == np.int8 and array.ndim == 2]
    zeros = [arrays[n.input[2]] for n in model.graph.node if n.op_type == "QuantizeLinear"]

    assert len(weights) == 2
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) <= 64
    assert all(zero.dtype == np.uint8 for zero in zeros)
    assert 255 * 64 * 2 <= np.iinfo(np.int16).max


@pytest.mark.parametrize("softmax", [True, False])
def test_the_scores_stay_float(tmp_path: Path, softmax: bool) -> None:
    """Between the last layer and Softmax, or the output, nothing is rounded to 8 bits."""
    quantize_static_qdq(write_model(tmp_path / "f.onnx", softmax=softmax), tmp_path / "q.onnx", ROWS)

    operators = types(onnx.load(tmp_path / "q.onnx"))
    answers = run(open_model(tmp_path / "q.onnx"), ROWS)

    assert operators[-2:] == (["Gemm", "Softmax"] if softmax else ["DequantizeLinear", "Gemm"])
    assert operators.count("QuantizeLinear") == 2
    assert len(np.unique(answers[:, 0])) > 256


def test_every_layer_runs_on_integers(folder: Path, tmp_path: Path) -> None:
    """ONNX Runtime fuses both layers into integer kernels and leaves no float one."""
    open_model(folder / "int8.onnx", optimized=tmp_path / "optimized.onnx")

    kernels = types(onnx.load(tmp_path / "optimized.onnx"))

    assert kernels.count("QGemm") == 2
    assert not {"Gemm", "MatMul", "FusedGemm"} & set(kernels)


def test_it_answers_as_the_float_model_does(folder: Path) -> None:
    """Rounding moves no probability by more than a few hundredths."""
    exact, rounded = run(open_model(folder / "float.onnx"), ROWS), run(open_model(folder / "int8.onnx"), ROWS)

    assert np.abs(exact - rounded).max() < 0.05


@given(rows=st.lists(st.integers(0, len(ROWS) - 1), min_size=1, max_size=70))
def test_a_row_is_answered_alike_alone_and_in_any_batch(folder: Path, rows: list[int]) -> None:
    """Each position of each batch gives the bits that the row gives alone."""
    session = open_model(folder / "int8.onnx")
    batch = ROWS[rows]

    together = run(session, batch)
    alone = np.concatenate([run(session, batch[i : i + 1]) for i in range(len(batch))])

    assert together.tobytes() == alone.tobytes()


def saturating(tmp_path: Path, *, reduce_range: bool) -> Path:
    """Return a model in which all products of a sum are as large as can be."""
    first = np.full((FEATURES, HIDDEN), 0.5, np.float32)
    model = write_model(tmp_path / "float.onnx", softmax=False, first=first)
    quantize_static_qdq(model, tmp_path / "int8.onnx", ROWS, reduce_range=reduce_range)
    return tmp_path / "int8.onnx"


def test_seven_bits_never_saturate(tmp_path: Path) -> None:
    """The kernel that may saturate and the one that cannot give the same bits."""
    path = saturating(tmp_path, reduce_range=True)
    bright = np.ones((4, FEATURES), np.float32)

    assert run(open_model(path), bright).tobytes() == run(open_model(path, precise=False), bright).tobytes()


@pytest.mark.skipif(
    instruction_set_class() not in {"x86-avx2", "x86-avx512", "x86-avx512f"},
    reason="these kernels cannot saturate",
)
def test_eight_bits_saturate_without_vnni(tmp_path: Path) -> None:
    """With full range the same sum is wrong on this class of kernels: what ``reduce_range`` is for."""
    path = saturating(tmp_path, reduce_range=False)
    bright = np.ones((4, FEATURES), np.float32)

    right, wrong = run(open_model(path), bright), run(open_model(path, precise=False), bright)

    assert np.abs(right - wrong).max() > 1


def test_the_same_model_and_rows_give_the_same_file(folder: Path, tmp_path: Path) -> None:
    """Quantizing twice writes the same bytes: the digest is of the model, not of the moment."""
    quantize_static_qdq(folder / "float.onnx", tmp_path / "again.onnx", ROWS, input_name="rows")

    assert (tmp_path / "again.onnx").read_bytes() == (folder / "int8.onnx").read_bytes()


# Refusals


def test_no_rows_are_refused(folder: Path, tmp_path: Path) -> None:
    """Without rows no range can be measured."""
    with pytest.raises(ValueError, match="no calibration rows"):
        quantize_static_qdq(folder / "float.onnx", tmp_path / "out.onnx", ROWS[:0])


def test_an_unknown_input_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    """The message names the inputs that there are."""
    with pytest.raises(ValueError, match="the model takes rows: name the one input"):
        quantize_static_qdq(folder / "float.onnx", tmp_path / "out.onnx", ROWS, input_name="pixels")


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_what_is_no_model_is_named_and_the_old_file_stays(tmp_path: Path, content: bytes | None) -> None:
    """A broken or missing model is a ValueError with its path; what was at ``out`` is not touched."""
    broken, out = tmp_path / "broken.onnx", tmp_path / "out.onnx"
    if content is not None:
        broken.write_bytes(content)
    out.write_bytes(b"old")

    with pytest.raises(ValueError, match=r"cannot quantize .*broken\.onnx"):
        quantize_static_qdq(broken, out, ROWS)

    assert out.read_bytes() == b"old"
    assert not (tmp_path / "out.onnx.draft").exists()


def test_rows_of_another_shape_are_refused(folder: Path, tmp_path: Path) -> None:
    """Rows that the model cannot take are named as its problem, not as a traceback of the library."""
    with pytest.raises(ValueError, match=r"cannot quantize .*float\.onnx"):
        quantize_static_qdq(folder / "float.onnx", tmp_path / "out.onnx", ROWS[:, :5])


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime.quantization.shape_inference"])
def test_the_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path, missing: str
) -> None:
    """Without onnx or sympy the message says what to install."""
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ValueError, match=r"edgeway\[models,cpu\]"):
        quantize_static_qdq(folder / "float.onnx", tmp_path / "out.onnx", ROWS)
