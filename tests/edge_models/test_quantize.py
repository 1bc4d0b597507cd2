"""Static QDQ: integers inside, floats where confidence is read, and the same bits in any company."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_models import quantize as quantize_module
from edge_models.isa import instruction_set_class
from edge_models.quantize import quantize, quantize_static_qdq, write_whole
from edge_models.session import Session
from edge_models.static_qdq import StaticQdq
from gateway.core.tensor import Array
from tests.edge_models.exported_models import FOLDER as EXPORTED
from tests.edge_models.exported_models import exported, sample_for

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


# What exporters make


QUANTIZED = {
    "skl_mlp": 2,
    "skl_mlp_binary": 2,
    "skl_mlp_regressor": 2,
    "skl_mlp_text": 2,
    "skl_mlp_zipmap": 2,
    "skl_mlp_zipmap_columns": 2,
    "skl_mlp_zipmap_text": 2,
    "skl_mixed_columns": 3,
    "torch_linear_script_13": 3,
    "torch_linear_script_fixed_17": 3,
    "torch_open_weights_script_9": 3,
    "torch_linear_dynamo_18": 3,
    "torch_linear_dynamo_external_20": 3,
    "torch_conv_script_13": 3,
    "torch_conv_script_fixed_20": 3,
    "torch_conv_dynamo_20": 3,
    "torch_conv_dynamo_fixed_18": 3,
    "torch_pair_script_17": 3,
    "torch_pair_dynamo_18": 3,
    "torch_transformer_dynamo_18": 4,
    "keras_dense_export": 2,
    "keras_dense_tf2onnx_15": 2,
    "keras_conv_export": 3,
    "keras_conv_tf2onnx_15": 3,
    "keras_conv_tf2onnx_18": 3,
    "keras_pair_export": 3,
    "keras_pair_tf2onnx_15": 3,
}
"""Layers with weights, all of which become int8."""

USELESS = {
    "skl_logistic": "nothing to quantize, no Conv, Gemm or MatMul with constant weights, only LinearClassifier",
    "skl_logistic_zipmap_text": "nothing to quantize",
    "skl_forest": "nothing to quantize, .* only TreeEnsembleClassifier",
    "torch_arithmetic_script_14": "nothing to quantize",
    "skl_mlp_tiny": r"quantizing made it larger \([0-9,]+ bytes instead of 1,183\)",
    "torch_lstm_script_15": "quantizing made it larger",
}
REFUSED = {
    "skl_mlp_double": "weights are DOUBLE, but int8 is made of FLOAT ones: export the model in float32",
    "torch_half_script_17": "weights are FLOAT16, but",
    "torch_traced_size_script_17": r"cannot run on the sample, fed rows \[200, 32\]: .*requested shape:\{2,8,8\}; if",
}


def test_every_exporters_file_is_judged() -> None:
    """A new one below tests/data/onnx has to be put into one of the three groups."""
    assert {*QUANTIZED, *USELESS, *REFUSED} == {path.stem for path in EXPORTED.glob("*.onnx")}


@pytest.mark.parametrize("name", QUANTIZED)
def test_an_exporters_model_is_made_int8_and_compared(name: str, tmp_path: Path) -> None:
    """What is returned loads where it is served, takes and gives the same, and every output was compared."""
    path = exported(name)
    sample = sample_for(path)

    made = quantize(path, sample)

    out = tmp_path / "int8.onnx"
    out.write_bytes(made.content)
    session = Session(out)
    assert made.useless == ""
    assert made.layers == (QUANTIZED[name], QUANTIZED[name])
    assert len(made.content) < made.size
    assert made.rows == 200
    assert [difference.name for difference in made.differences] == [spec.name for spec in session.outputs]
    for difference in made.differences:
        assert difference.same is None or difference.same > 0.9
    assert set(sample) == {spec.name for spec in session.inputs}


@pytest.mark.parametrize("name", USELESS)
def test_what_quantizing_cannot_help_is_kept(name: str) -> None:
    """And nothing is returned that somebody could serve by mistake."""
    made = quantize(exported(name), sample_for(exported(name)))

    assert re.search(USELESS[name], made.useless)
    assert made.useless.endswith(": keep the original")
    assert (made.content, made.differences) == (b"", ())


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_quantized_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}\.onnx: .*{REFUSED[name]}"):
        quantize(exported(name), sample_for(exported(name)))


def test_the_comparison_is_right(tmp_path: Path) -> None:
    """Its figures are those that both files give when they are run by hand."""
    path = exported("keras_pair_export")
    sample = sample_for(path)
    made = quantize(path, sample)
    (tmp_path / "int8.onnx").write_bytes(made.content)

    old, new = (open_model(file).run(None, sample) for file in (path, tmp_path / "int8.onnx"))

    kind, size = made.differences
    assert kind.worst == pytest.approx(np.abs(old[0] - new[0]).max())
    assert kind.same == (old[0].argmax(1) == new[0].argmax(1)).mean()
    assert size.worst == pytest.approx(np.abs(old[1] - new[1]).max())
    assert size.same == ((old[1] >= 0.5) == (new[1] >= 0.5)).mean()


def test_the_maps_of_skl2onnx_are_compared_by_value() -> None:
    """The tensor in their place holds what the maps held."""
    path = exported("skl_mlp_zipmap_text")
    sample = sample_for(path)
    made = quantize(path, sample)

    maps = open_model(path).run(["output_probability"], sample)[0]
    tensor = open_bytes(made.content).run(["output_probability"], sample)[0]

    labels = [f"digit {digit}" for digit in range(10)]
    assert np.abs(
        np.array([[row[label] for label in labels] for row in maps]) - tensor
    ).max() == pytest.approx(made.differences[1].worst)
    assert any("digit 0, digit 1" in note for note in made.notes)


def open_bytes(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def test_a_fixed_batch_leaves_rows_over_and_says_so() -> None:
    """The model takes two rows at a time."""
    path = exported("torch_linear_script_fixed_17")

    made = quantize(path, sample_for(path, rows=21))

    assert made.rows == 20
    assert "the last 1 rows of the sample do not fill a run of the model: not used" in made.notes
    assert "the sample has 20 rows: ranges are better measured on some hundred" in made.notes


def test_every_feed_is_heard_of() -> None:
    """Twice per feed: when ranges are measured, when both models are compared."""
    path = exported("torch_linear_script_13")
    steps: list[tuple[str, int, int]] = []

    quantize(path, sample_for(path, rows=600), progress=lambda *step: steps.append(step))

    assert steps == [("preparing", 0, 1)] + [
        (step, done, 3) for step in ("measuring ranges", "comparing") for done in (1, 2, 3)
    ]


# Answers that cannot be compared


def ending_in(path: Path, end: str, *, bias: float = 0) -> Path:
    """Write a model of one layer, ``rows[0] - 0.505 rows[1] + bias`` in each column, and an operator after it."""
    weight = np.zeros((FEATURES, HIDDEN), np.float32)
    weight[0], weight[1] = 1, -0.505
    layer = helper.make_node("Gemm", ["rows", "w", "b"], ["scores"], name="scores")
    graph = helper.make_graph(
        [layer, helper.make_node(end, ["scores"], ["end"], name="end")],
        "ends",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info("end", TensorProto.FLOAT, ["n", HIDDEN])],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.full(HIDDEN, bias, np.float32), "b"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def balanced() -> Array:
    """Rows with which that layer gives just more than nothing."""
    rows = np.zeros((200, FEATURES), np.float32)
    rows[:, 0] = np.linspace(0.1, 1, len(rows))
    rows[:, 1] = rows[:, 0] * (0.9999 / 0.505)
    return rows


def test_an_int8_model_that_answers_nan_is_never_returned(tmp_path: Path) -> None:
    """The square root of what is just above nothing is NaN once rounding has put it just below."""
    model = ending_in(tmp_path / "sqrt.onnx", "Sqrt")
    assert np.isfinite(run(open_model(model), balanced())).all()

    with pytest.raises(ValueError, match=r"sqrt\.onnx: the int8 model is not kept: its output 'end' is NaN"):
        quantize(model, balanced())


def test_a_float_model_that_answers_nan_proves_nothing(tmp_path: Path) -> None:
    model = ending_in(tmp_path / "log.onnx", "Log", bias=-5)

    with pytest.raises(ValueError, match="the float model's output 'end' is NaN on the sample"):
        quantize(model, balanced())


@pytest.mark.parametrize(
    ("other", "says"),
    [("keras_dense_export", "its outputs are Identity:0 instead of logits"), ("skl_mlp", "its inputs are X")],
)
def test_another_signature_is_never_returned(other: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tools make: if it takes or gives something else, it is not the model."""
    stranger = onnx.load(exported(other))
    monkeypatch.setattr(StaticQdq, "make", lambda *_args, **_options: (stranger, ""))
    monkeypatch.setattr(quantize_module, "integer_layers", lambda _graph: 1)
    model = exported("torch_linear_script_13")

    with pytest.raises(ValueError, match=f"the int8 model is not kept: {says}"):
        quantize(model, sample_for(model))


# Files


def test_writing_keeps_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    out.write_bytes(b"old")

    write_whole(out, b"new")

    assert out.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk, a vanished folder, Ctrl-C between: the draft is gone, the old file is there."""
    out = tmp_path / "out.onnx"
    out.write_bytes(b"old")

    def fail(*_args: object) -> None:
        raise KeyboardInterrupt if step == "fsync" else OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
    with pytest.raises(KeyboardInterrupt if step == "fsync" else OSError):
        write_whole(out, b"new")

    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_new_file_has_the_rights_that_any_file_gets(tmp_path: Path) -> None:
    """A gateway that runs as somebody else has to be able to read it."""
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "out.onnx", b"new")
    finally:
        os.umask(before)

    assert (tmp_path / "out.onnx").stat().st_mode & 0o777 == 0o644


def test_what_is_useless_is_not_written(tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"

    with pytest.raises(ValueError, match="larger"):
        quantize_static_qdq(exported("skl_mlp_tiny"), out, sample_for(exported("skl_mlp_tiny"))["X"])

    assert not out.exists()


# Refusals


def test_no_rows_are_refused(folder: Path, tmp_path: Path) -> None:
    """Without rows no range can be measured."""
    with pytest.raises(ValueError, match="no calibration rows"):
        quantize_static_qdq(folder / "float.onnx", tmp_path / "out.onnx", ROWS[:0])


def test_an_unknown_input_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    """The message names the inputs that there are."""
    with pytest.raises(ValueError, match="the model takes rows, but the sample holds pixels"):
        quantize_static_qdq(folder / "float.onnx", tmp_path / "out.onnx", ROWS, input_name="pixels")


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_what_is_no_model_is_named_and_the_old_file_stays(tmp_path: Path, content: bytes) -> None:
    """A broken model is a ValueError with its path; what was at ``out`` is not touched."""
    broken, out = tmp_path / "broken.onnx", tmp_path / "out.onnx"
    broken.write_bytes(content)
    out.write_bytes(b"old")

    with pytest.raises(ValueError, match=r"broken\.onnx: is not an ONNX model"):
        quantize_static_qdq(broken, out, ROWS)

    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.onnx", "out.onnx"]


def test_a_model_that_onnx_runtime_cannot_load_is_named_with_its_words(tmp_path: Path) -> None:
    """Not the name of the copy that was tried."""
    model = onnx.load(write_model(tmp_path / "float.onnx"))
    model.graph.node[0].op_type = "Nonsense"
    onnx.save(model, tmp_path / "nonsense.onnx")

    with pytest.raises(ValueError, match=r"^\S+/nonsense\.onnx: is not a model that .* can load: .*Nonsense"):
        quantize(tmp_path / "nonsense.onnx", ROWS)


def set_dimension(model: Any) -> None:
    model.graph.initializer[0].dims[0] = -FEATURES


@pytest.mark.parametrize(
    ("damage", "says", "advised"),
    [
        (lambda m: setattr(m.graph.node[0], "op_type", "Nonsense"), "No Op registered for Nonsense", True),
        (lambda m: setattr(m.opset_import[0], "version", 99), "Opset 99 is under development", True),
        (lambda m: setattr(m.opset_import[0], "version", 1), "Could not find an implementation", True),
        (lambda m: m.graph.node.append(m.graph.node[0]), "two nodes with same node name", False),
        (lambda m: m.graph.node[0].input.__setitem__(0, "answer"), "not acyclic", False),
        (set_dimension, "Out of bounds dimensions", False),
        (lambda m: setattr(m.graph.output[0], "name", "none"), "does not exist in the graph", False),
    ],
    ids=["operator", "new", "old", "duplicate", "cycle", "dimension", "output"],
)
def test_another_export_is_advised_where_it_helps(
    tmp_path: Path, damage: Any, says: str, advised: bool
) -> None:
    """For an operator, a version or a type that ONNX Runtime lacks, not for a graph that is none."""
    model = onnx.load(write_model(tmp_path / "float.onnx"))
    damage(model)
    (tmp_path / "damaged.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(ValueError, match=f"that ONNX Runtime can load: .*{says}") as caught:
        quantize(tmp_path / "damaged.onnx", ROWS)

    assert (
        str(caught.value).endswith("; export it in float32, for an operator set that ONNX Runtime has")
        == advised
    )


def test_an_input_whose_name_is_no_text_is_damage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """And ONNX Runtime's account of it is not printed."""
    path = tmp_path / "damaged.onnx"
    path.write_bytes(exported("torch_pair_script_17").read_bytes().replace(b"numbers", b"number\xff"))

    with pytest.raises(ValueError, match=r"damaged\.onnx: is damaged: it has names that are no text"):
        quantize(path, sample_for(exported("torch_pair_script_17")))

    assert capfd.readouterr() == ("", "")


def test_rows_of_another_shape_are_refused(folder: Path, tmp_path: Path) -> None:
    """Rows that the model cannot take are told beside what it takes."""
    with pytest.raises(ValueError, match=r"sample is FP32 \[300, 5\], but .* 'rows' is FP32 \[-1, 64\]"):
        quantize_static_qdq(folder / "float.onnx", tmp_path / "out.onnx", ROWS[:, :5])


def test_an_int8_model_is_not_quantized_again(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"quantized already \(it has DequantizeLinear, QuantizeLinear\)"):
        quantize(folder / "int8.onnx", ROWS)
