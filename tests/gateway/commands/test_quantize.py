"""`edgeway model quantize`: what is written, what is printed, and the exit codes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_models.samples import digits
from edge_models.session import Session
from gateway.__main__ import main
from tests.edge_models.exported_models import exported, sample_for

EDGE, CENTRAL = map(str, map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY)))


def quantize(model: Path | str, sample: Path | str, out: Path | str) -> int:
    """Quantize a model, as from the command line."""
    return main(["model", "quantize", "--model", str(model), "--sample", str(sample), "--out", str(out)])


def named(folder: Path, model: str, rows: int = 200) -> Path:
    """Write a sample for an exporter's model, by the names of its inputs."""
    np.savez(folder / "sample.npz", **sample_for(exported(model), rows))
    return folder / "sample.npz"


@pytest.fixture
def digits_sample(tmp_path: Path) -> str:
    """Four hundred calibration inputs on disk."""
    np.save(tmp_path / "sample.npy", digits.as_input(digits.load_split("calibration")[0][:400]))
    return str(tmp_path / "sample.npy")


def test_a_smaller_model_is_written_and_every_output_compared(
    tmp_path: Path, digits_sample: str, capsys
) -> None:
    """The float central model becomes int8; both sizes, the layers, the rows and the output are named."""
    out = tmp_path / "new" / "folder" / "int8.onnx"

    code = quantize(CENTRAL, digits_sample, out)

    shown = capsys.readouterr()
    assert code == 0
    assert out.stat().st_size < Path(CENTRAL).stat().st_size / 2
    assert f"{out.stat().st_size:,} bytes instead of {Path(CENTRAL).stat().st_size:,}" in shown.out
    assert "times smaller" in shown.out
    assert "over 400 rows" in shown.out
    assert "probabilities FP32: worst difference" in shown.out
    assert "argmax the same in" in shown.out
    assert shown.err == ""
    assert [path.name for path in out.parent.iterdir()] == ["int8.onnx"]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            "keras_pair_export",
            ["note: symbolic shapes were skipped", "Identity:0 FP32", "Identity_1:0 FP32", "side of 0.5"],
        ),
        ("skl_mlp_zipmap", ["note: ZipMap is left out", "output_label INT64: ", "output_probability FP32"]),
        ("skl_mixed_columns", ["label INT64", "probabilities FP32"]),
        ("torch_linear_dynamo_external_20", ["3 of 3 layers with weights are int8", "linear_2 FP32"]),
    ],
)
def test_what_was_put_right_is_said(tmp_path: Path, model: str, says: list[str], capsys) -> None:
    """Inputs of several types by name, texts among them; weights beside the file."""
    code = quantize(exported(model), named(tmp_path, model), tmp_path / "int8.onnx")

    shown = capsys.readouterr().out
    assert code == 0
    assert all(part in shown for part in says)
    Session(tmp_path / "int8.onnx")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            "skl_mlp_tiny",
            "quantizing made it larger (3,256 bytes instead of 1,183): keep the original; nothing",
        ),
        ("skl_forest", "it has nothing to quantize"),
        ("skl_logistic_zipmap_text", "it has nothing to quantize"),
    ],
)
def test_what_is_no_use_exits_1_and_writes_nothing(tmp_path: Path, model: str, says: str, capsys) -> None:
    out = tmp_path / "out.onnx"
    out.write_bytes(b"old")

    code = quantize(exported(model), named(tmp_path, model), out)

    shown = capsys.readouterr().err
    assert code == 1
    assert says in shown
    assert "smaller" not in shown
    assert shown.endswith("nothing was written\n")
    assert shown.count("\n") == 1
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize(
    "model", ["torch_open_weights_script_9", "skl_mlp_text", "torch_traced_size_script_17"]
)
def test_the_libraries_print_nothing(tmp_path: Path, model: str, capfd) -> None:
    """Neither warnings of ONNX Runtime's own, nor tracebacks of what it got over."""
    code = quantize(exported(model), named(tmp_path, model), tmp_path / "out.onnx")

    assert capfd.readouterr().err.count("\n") == (1 if code else 0)


def test_an_int8_model_is_refused(tmp_path: Path, digits_sample: str, capsys) -> None:
    """Quantized already: one line, code 2."""
    code = quantize(EDGE, digits_sample, tmp_path / "x.onnx")

    shown = capsys.readouterr().err
    assert code == 2
    assert "is quantized already" in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "sample", "says"),
    [
        ("broken", "digits", "broken: is not an ONNX model"),
        ("none.onnx", "digits", "none.onnx: No such file or directory"),
        (".", "digits", ": Is a directory"),
        (CENTRAL, "broken", "broken: cannot be read as a .npy array or a .npz"),
        (CENTRAL, "none.npy", "none.npy: No such file or directory"),
        (CENTRAL, "skl_mlp", "the model takes image, but the sample holds X"),
        (exported("torch_half_script_17"), "torch_half_script_17", "weights are FLOAT16"),
        (
            exported("torch_pair_script_17"),
            "digits",
            "takes words, numbers, but the sample is one array: numpy.savez",
        ),
    ],
)
def test_wrong_files_exit_2_in_one_line(
    tmp_path: Path, digits_sample: str, model: str, sample: str, says: str, capsys
) -> None:
    """Whichever of them it is, it is named; no folder is made, nothing is written."""
    (tmp_path / "broken").write_bytes(b"\x08\x07garbage")
    known = sample.startswith(("skl", "torch"))
    file = (
        named(tmp_path, sample) if known else Path(digits_sample) if sample == "digits" else tmp_path / sample
    )
    out = tmp_path / "made" / "out.onnx"

    code = quantize(tmp_path / model, file, out)

    shown = capsys.readouterr()
    assert code == 2
    assert says in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert not out.parent.exists()


def test_local_functions_that_call_themselves_exit_2_in_one_line(tmp_path: Path, capsys) -> None:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    again = helper.make_node("Again", ["a"], ["b"], domain="local")
    function = helper.make_function("local", "Again", ["a"], ["b"], [again], opsets)
    a, b = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "ab")
    graph = helper.make_graph([again], "again", [a], [b])
    model = helper.make_model(graph, functions=[function], opset_imports=opsets)
    (tmp_path / "again.onnx").write_bytes(model.SerializeToString())
    np.save(tmp_path / "sample.npy", np.zeros((9, 4), np.float32))

    code = quantize(tmp_path / "again.onnx", tmp_path / "sample.npy", tmp_path / "out.onnx")

    shown = capsys.readouterr()
    assert code == 2
    assert shown.err == (
        f"edgeway: {tmp_path}/again.onnx: its local functions call themselves, which ONNX forbids: "
        "'Again' calls 'Again'\n"
    )
    assert shown.out == ""


@pytest.mark.parametrize(("worst_row", "warned"), [(1e4, True), (1, False)])
def test_answers_that_differ_much_are_warned_of(
    tmp_path: Path, worst_row: float, warned: bool, capsys
) -> None:
    """One row of the sample stretches the range until all others are rounded to next to nothing."""
    chance = np.random.default_rng(7)
    weights = chance.normal(size=(32, 32)).astype(np.float32)
    rows = chance.normal(size=(200, 32)).astype(np.float32)
    rows[0] *= worst_row
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 32]) for name in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", value[:1], value[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "float.onnx").write_bytes(model.SerializeToString())
    np.save(tmp_path / "sample.npy", rows)

    code = quantize(tmp_path / "float.onnx", tmp_path / "sample.npy", tmp_path / "out.onnx")

    *_, last = capsys.readouterr().out.splitlines()
    assert code == 0
    found = re.fullmatch(r"warning: the int8 model answers otherwise in (\S+)% of the rows \('y'\): .*", last)
    assert bool(found) == warned
    assert found is None or 50 < float(found[1]) <= 100


@pytest.mark.parametrize("place", ["folder", "model", "sample", "below a file", "link to the model"])
def test_a_place_that_must_not_be_written_is_refused_first(tmp_path: Path, place: str, capsys) -> None:
    """Before minutes are spent, and never over what it is made from."""
    model = tmp_path / "model.onnx"
    model.write_bytes(exported("skl_mlp").read_bytes())
    sample = named(tmp_path, "skl_mlp")
    (tmp_path / "link").symlink_to(model)
    out, says = {
        "folder": (tmp_path, "is a folder"),
        "model": (model, "is the same file as"),
        "sample": (sample, "is the same file as"),
        "below a file": (model / "x.onnx", "is no folder that can be written to"),
        "link to the model": (tmp_path / "link", "is the same file as"),
    }[place]

    code = quantize(model, sample, out)

    assert code == 2
    assert says in capsys.readouterr().err
    assert model.read_bytes() == exported("skl_mlp").read_bytes()


def test_a_full_disk_is_told_and_the_old_file_stays(tmp_path: Path, monkeypatch, capsys) -> None:
    """What the system says, with nothing half written."""
    out = tmp_path / "out" / "int8.onnx"
    out.parent.mkdir()
    out.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code = quantize(exported("skl_mlp"), named(tmp_path, "skl_mlp"), out)

    assert code == 2
    assert "No space left on device; nothing was written" in capsys.readouterr().err
    assert [path.read_bytes() for path in out.parent.iterdir()] == [b"old"]


def test_sigterm_leaves_no_file_behind(tmp_path: Path) -> None:
    """A run that is ended takes its files between with it, copies of the model among them."""
    between = tmp_path / "between"
    between.mkdir()
    np.savez(tmp_path / "long.npz", **sample_for(exported("torch_conv_script_fixed_20"), 100_000))
    options = ["--model", str(exported("torch_conv_script_fixed_20")), "--sample", str(tmp_path / "long.npz")]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "model", "quantize", *options, "--out", str(tmp_path / "out.onnx")],
        env={**os.environ, "TMPDIR": str(between)},
        stderr=subprocess.PIPE,
    )
    try:
        while not any(between.glob("quantize-*/float.onnx")):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, shown = process.communicate(timeout=150)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 143
    assert b"Traceback" not in shown
    assert not list(between.iterdir())
    assert not (tmp_path / "out.onnx").exists()


def test_help_has_examples_and_exit_codes(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["model", "quantize", "--help"])

    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "edgeway model quantize --model edge-fp32.onnx --sample train.npy" in shown
    assert "two-inputs.onnx --sample train.npz" in shown
    assert "keep the original" in shown


def test_the_missing_extra_is_told(tmp_path: Path, digits_sample: str, monkeypatch, capsys) -> None:
    """A serving machine has no onnx."""
    monkeypatch.setitem(sys.modules, "onnx", None)

    code = quantize(CENTRAL, digits_sample, tmp_path / "x.onnx")

    assert code == 2
    assert "extras `models` and `cpu`" in capsys.readouterr().err
