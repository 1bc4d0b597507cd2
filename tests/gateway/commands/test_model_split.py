"""`edgeway model split`: a model cut in two, from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_models.samples import digits
from edge_models.session import Session
from edge_models.split_session import open_model
from gateway.__main__ import main
from tests.edge_models.splitting import models


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = main(["model", "split", *map(str, words)])
    return code, *capsys.readouterr()


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    return models.write(tmp_path, models.TOWER).parent.parent


def test_the_next_version_is_the_model_in_two_files(tower, capsys):
    """What is served, and what a certificate is to name, is in what is printed."""
    code, text, errors = run(capsys, tower, "--at", "second")

    split = open_model(tower / "2")
    assert (code, errors) == (0, "")
    assert sorted(path.name for path in tower.iterdir()) == ["1", "2"]
    assert f"equal to {tower}/1/model.onnx bit for bit on 14 rows of made-up values" in text
    assert "cut at b\n  kept      24 bytes a row; 58.8% of the work is before the cut" in text
    assert split.digest in text
    assert "no certificate of" in text
    x = np.ones((3, 4), np.float32)
    assert split.run({"x": x})[0].tobytes() == Session(tower / "1/model.onnx").run({"x": x})[0].tobytes()


@pytest.mark.parametrize("which", ["", "1", "1/model.onnx"])
def test_a_model_is_named_by_its_folder_its_version_or_its_file(tower, which, tmp_path, capsys):
    out = tmp_path / "elsewhere" / "7"

    assert run(capsys, tower / which, "--at", "b", "--out", out)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["features.onnx", "head.onnx"]


def test_a_sample_takes_the_place_of_made_up_values(tower, tmp_path, capsys):
    np.save(tmp_path / "rows.npy", np.ones((50, 4), np.float32))

    _, text, _ = run(capsys, tower, "--at", "b", "--sample", tmp_path / "rows.npy")

    assert f"on 53 rows of {tmp_path}/rows.npy" in text


def test_several_tensors_and_an_input_that_is_passed(tmp_path, capsys):
    folder = models.write(tmp_path, models.TWO).parent.parent

    assert run(capsys, folder, "--at", "third", "--at", "embedding", "--pass", "user")[0] == 0
    assert [spec.name for spec in open_model(folder / "2").inputs] == ["x", "user"]


def test_an_int8_model_says_where_it_was_cut(tmp_path, capsys):
    out = tmp_path / "2"
    code, text, _ = run(capsys, digits.model_path(digits.EDGE_REPOSITORY), "--at", "gemm0", "--out", out)

    assert code == 0
    assert "note: cut at 'relu1.out_QuantizeLinear_Output', the quantized form of 'relu1.out'" in text


def test_suggestions_are_printed_and_nothing_is_written(tower, capsys):
    code, text, _ = run(capsys, tower, "--suggest")

    assert (code, [path.name for path in tower.iterdir()]) == (0, ["1"])
    assert "  b (second): 24 bytes a row, 58.8% of the work before" in text


def test_a_misspelt_node_is_met_with_its_neighbour_and_suggestions(tower, capsys):
    code, text, errors = run(capsys, tower, "--at", "secnod")

    assert (code, [path.name for path in tower.iterdir()]) == (2, ["1"])
    assert "b (second)" in text
    assert "no node or tensor 'secnod'; did you mean 'second'?; nothing was written" in errors


def test_without_a_node_it_suggests_some(tower, capsys):
    code, text, errors = run(capsys, tower)

    assert code == 2
    assert "b (second)" in text
    assert "--at NODE" in errors


def test_no_single_tensor_may_separate(tmp_path, capsys):
    """Then an input to be passed is suggested."""
    _, text, _ = run(capsys, models.write(tmp_path, models.TWO), "--suggest")

    assert "no single tensor separates its inputs (x, user) from its outputs; pass" in text


def test_parts_that_differ_are_not_written_unless_wanted(tmp_path, capsys):
    """Chance in the head gives another answer at each run."""
    text = """g (float[n, 6] x) => (float[n, 6] y) {
      [first] a = Relu (x)
      r = RandomNormalLike (a)
      y = Add (a, r)
    }"""
    folder = models.write(tmp_path, text).parent.parent

    code, text, errors = run(capsys, folder, "--at", "first")
    assert (code, [path.name for path in folder.iterdir()]) == (1, ["1"])
    assert "not equal to" in text
    assert "nothing was written" in errors

    assert run(capsys, folder, "--at", "first", "--allow-difference")[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{tmp}/tower", "--at", "first", "--out", "{tmp}/tower/1"], "is there already"),
        (["{tmp}/none", "--at", "first", "--out", "{tmp}/o"], "No such file"),
        (["{tmp}/empty", "--at", "first"], "holds no model in one file; expected empty/1/model.onnx"),
        (["{tmp}/lone.onnx", "--at", "first"], "is in no version's folder: say where"),
        (["{tmp}/bad.onnx", "--at", "first", "--out", "{tmp}/o"], "is not an ONNX model"),
        (["{tmp}/tower", "--at", "x"], "before it there is no backbone; nothing was written"),
        (["{tmp}/tower", "--at", "first", "--out", "{tmp}/lone.onnx/1"], "no folder that can be written to"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(tower, tmp_path, words, message, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "lone.onnx").write_bytes((tower / "1/model.onnx").read_bytes())
    (tmp_path / "bad.onnx").write_bytes(b"bad")
    before = sorted(tmp_path.rglob("*"))

    code, _, errors = run(capsys, *(word.format(tmp=tmp_path) for word in words))

    assert code == 2
    assert message in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_in_two_files_is_not_cut_again(tower, capsys):
    run(capsys, tower, "--at", "first")
    (tower / "1/model.onnx").unlink()

    assert "is in two files already" in run(capsys, tower, "--at", "second")[2]


def test_what_is_in_two_files_is_shown_and_certified_as_one(tmp_path, capsys):
    """Its certificate names the digest of both parts, which the whole model does not have."""
    edge, central = (digits.model_path(each) for each in (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY))
    parts = tmp_path / "2"
    assert run(capsys, edge, "--at", "gemm0", "--out", parts)[0] == 0
    images, _ = digits.load_split("calibration")
    np.save(tmp_path / "rows.npy", digits.as_input(images[:400]))
    words = ["--sample", str(tmp_path / "rows.npy"), "--model", "digits", "--alpha", "0.02"]

    assert main(["model", "show", str(parts)]) == 0
    assert open_model(parts).digest in capsys.readouterr().out
    texts = []
    for each in (parts, edge):
        out = tmp_path / f"{each.name}.json"
        code = main(
            ["model", "certify", *words, "--edge", str(each), "--central", str(central), "--out", str(out)]
        )
        assert code == 0, capsys.readouterr()
        texts.append(out.read_text())
    assert open_model(parts).digest in texts[0]
    assert open_model(parts).digest not in texts[1]
