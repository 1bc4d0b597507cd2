"""`edgeway model certify`: what it takes, prints, writes and returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from edge_models.certificate import load_certificate
from gateway.__main__ import main
from tests.edge_models import onnx_models as models

CHANCE = np.random.default_rng(9)
WEIGHTS = CHANCE.normal(size=(4, 3)).astype(np.float32)
ROWS = CHANCE.normal(size=(600, 4)).astype(np.float32)

Certify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def certify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Certify:
    """Run the command on a pair of models; return its exit code, what it printed and what it complained."""

    def run(edge: bytes, central: bytes, *more: str, rows: int = 600) -> tuple[int, str, str]:
        for name, content in (("edge", edge), ("central", central)):
            (tmp_path / f"{name}.onnx").write_bytes(content)
        np.save(tmp_path / "sample.npy", ROWS[:rows])
        files = [f"--edge={tmp_path}/edge.onnx", f"--central={tmp_path}/central.onnx"]
        code = main(
            [
                "model",
                "certify",
                "--model=m",
                *files,
                f"--sample={tmp_path}/sample.npy",
                f"--out={tmp_path}/c.json",
                *more,
            ]
        )
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def near(scale: float) -> np.ndarray:
    return WEIGHTS + (np.random.default_rng(1).normal(size=WEIGHTS.shape) * scale).astype(np.float32)


def test_what_is_taken_for_granted_is_said(tmp_path: Path, certify: Certify) -> None:
    """The task, what was applied to the outputs, and what the certificate is worth."""
    code, out, err = certify(models.linear(near(0.01)), models.linear(WEIGHTS), "--task", "multiclass")

    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "'logits': multiclass, softmax applied"
    assert "c.json: multiclass, max_probability >= " in out
    assert load_certificate(tmp_path / "c.json").task == "multiclass"


def test_nothing_proven_is_exit_code_1_and_writes_nothing(tmp_path: Path, certify: Certify) -> None:
    """With how many rows it would take."""
    same = models.softmax_of(WEIGHTS)

    code, _, err = certify(same, same, rows=100)

    assert code == 1
    assert "nothing is written: 100 rows" in err
    assert "49 more rows would do at the rate seen" in err
    assert not (tmp_path / "c.json").exists()

    assert certify(same, same)[0] == 0
    code, _, err = certify(same, same, rows=100)
    assert code == 1
    assert "c.json that is there stays" in err
    assert load_certificate(tmp_path / "c.json").n == 600


def test_a_pair_that_disagrees_is_exit_code_1(certify: Certify) -> None:
    """No number of rows would do, and it says so."""
    code, _, err = certify(
        models.sigmoid(-WEIGHTS[:, :1]), models.sigmoid(WEIGHTS[:, :1]), "--task", "binary"
    )

    assert code == 1
    assert "no number of rows would do" in err


def test_what_a_gateway_would_refuse_is_said(certify: Certify) -> None:
    """More risk than the settings allow, unless they allow more."""
    same = models.softmax_of(WEIGHTS)

    code, _, err = certify(same, same, "--alpha", "0.1")

    assert code == 0
    assert err == "note: a gateway refuses alpha 0.1 unless its `models.max_alpha`, 0.02, is raised\n"


def test_what_is_not_certain_is_exit_code_2(certify: Certify) -> None:
    """With the choices."""
    code, out, err = certify(models.linear(WEIGHTS), models.linear(WEIGHTS))

    assert (code, out) == (2, "")
    assert "--task multiclass" in err


def test_outputs_that_are_left_out_are_told(certify: Certify) -> None:
    """And what that means for who gets them."""
    edge, central = models.heads(WEIGHTS, -WEIGHTS), models.heads(WEIGHTS, WEIGHTS)

    code, out, _ = certify(
        edge, central, "--task", "multiclass", "--output", "first", "--leave-out", "second"
    )

    assert code == 0
    assert (
        "'second': no part of the decision: who gets it, or names no outputs, gets no certified answer" in out
    )


def test_terms_reach_the_certificate(tmp_path: Path, certify: Certify) -> None:
    """Each as it was given."""
    (tmp_path / "symbols.txt").write_text("a\nb\n")
    same = models.linear(WEIGHTS)

    assert (
        certify(same, same, "--task=multilabel", "--per=label", "--threshold=0.7", "--score=margin")[0] == 0
    )
    rule = load_certificate(tmp_path / "c.json").outputs[0]
    assert (rule.per, rule.threshold, rule.values) == ("label", 0.7, "logits")
    assert certify(same, same, "--task=regression", "--relative-tolerance=0.1", "--alpha=0.01")[0] == 0
    assert load_certificate(tmp_path / "c.json").outputs[0].relative == 0.1
    assert certify(same, same, "--task=sequence", f"--alphabet={tmp_path}/symbols.txt")[0] == 2


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--threshold=1.5", "--threshold must lie between 0 and 1"),
        ("--tolerance=-1", "--tolerance must be a number that is not below 0"),
        ("--cosine=nan", "--cosine must be above 0 and at most 1"),
        ("--cosine=1.5", "--cosine must be above 0 and at most 1"),
        ("--alpha=2", "alpha and delta must lie between 0 and 1"),
        ("--alphabet=/nowhere", "nowhere"),
    ],
)
def test_terms_that_make_no_sense(certify: Certify, flag: str, says: str) -> None:
    """Exit code 2, one line, the flag by its name."""
    same = models.linear(WEIGHTS)

    code, _, err = certify(same, same, "--task=embedding", "--cosine=0.9", flag)

    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def labels(*nodes: Any, label: str) -> bytes:
    """image [batch, 4] → label [batch]: what ``nodes`` make of ``right``, the number of the brightest pixel."""
    return models.model(
        [helper.make_node("ArgMax", ["image"], ["right"], axis=1, keepdims=0), *nodes],
        [("image", models.FLOAT, ["batch", 4])],
        [(label, models.INT64, ["batch"])],
        zero=np.int64(0),
        one=np.int64(1),
    )


def test_labels_that_depend_on_the_rows_beside_a_row(certify: Certify) -> None:
    """Right among others and wrong alone, as clients send them. Labels carry no trace of a distance."""
    edge = labels(
        helper.make_node("ArgMin", ["image"], ["wrong"], axis=1, keepdims=0),
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["rows"]),
        helper.make_node("Equal", ["rows", "one"], ["alone"]),
        helper.make_node("Where", ["alone", "wrong", "right"], ["label"]),
        label="label",
    )
    central = labels(helper.make_node("Identity", ["right"], ["label"]), label="label")

    code, _, err = certify(edge, central, "--task", "exact")

    assert code == 1
    assert "no number of rows would do" in err


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["--leave-out=label", "--leave-out=label"], "--leave-out names 'label' twice"),
        (["--output=label=exact", "--output=label=exact"], "--output names 'label' twice"),
        (["--output=label=exact", "--leave-out=label"], "'label' is both compared and left out"),
    ],
)
def test_outputs_named_twice(tmp_path: Path, certify: Certify, chosen: list[str], message: str) -> None:
    """What no gateway would load is not written."""
    model = models.softmax_labelled(WEIGHTS)

    code, _, err = certify(model, model, "--task=multiclass", *chosen)

    assert (code, (tmp_path / "c.json").exists()) == (2, False)
    assert message in err


def test_a_model_that_masks_a_class_is_like_itself(tmp_path: Path, certify: Certify) -> None:
    """Its logits of that class are minus infinity in every row."""
    masked = models.model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["all"]),
            helper.make_node("Add", ["all", "mask"], ["logits"]),
        ],
        [("image", models.FLOAT, ["batch", 4])],
        [("logits", models.FLOAT, ["batch", 3])],
        weights=WEIGHTS,
        mask=np.array([0, 0, -np.inf], np.float32),
    )

    code, out, err = certify(masked, masked, "--task=multiclass")

    assert (code, err) == (0, "")
    assert "0 of those unlike central" in out


@pytest.mark.parametrize("out", ["", "c.npy/c.json"])
def test_a_bad_out_is_found_before_the_models_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    """The models are no models: whoever looked at them would say so instead."""
    sample = tmp_path / "c.npy"
    np.save(sample, ROWS)
    flags = [f"--{name}={sample}" for name in ("edge", "central", "sample")]

    code = main(["model", "certify", "--model=m", *flags, f"--out={tmp_path / out}"])

    assert code == 2
    assert "--out " in capsys.readouterr().err
