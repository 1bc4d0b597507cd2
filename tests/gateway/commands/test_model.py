"""`edgeway model`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_models.certificate import load_certificate
from edge_models.samples import digits
from gateway.__main__ import main

NEED_ONNXRUNTIME = {"gateway.commands.certify", "edge_models.session", "edge_models.split_session"}
EDGE, CENTRAL = map(str, map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY)))


def certify(sample: Path | str, out: Path | str = "x", central: str = CENTRAL) -> int:
    """Certify the digits pair, as from the command line."""
    pair = ["--model", "digits", "--edge", EDGE, "--central", central]
    return main(["model", "certify", *pair, "--sample", str(sample), "--out", str(out)])


@pytest.fixture
def sample(tmp_path: Path) -> str:
    """Four hundred calibration inputs on disk."""
    np.save(tmp_path / "sample.npy", digits.as_input(digits.load_split("calibration")[0][:400]))
    return str(tmp_path / "sample.npy")


def test_certify_writes_a_certificate_that_loads(tmp_path: Path, sample: str, capsys) -> None:
    """The pair is run and proven, and the file says for what."""
    out = tmp_path / "certificates" / "digits.json"

    code = certify(sample, out)

    assert code == 0
    proof = load_certificate(out)
    assert (proof.model, proof.n, proof.alpha) == ("digits", 400, 0.02)
    assert "risk <=" in capsys.readouterr().out


def test_show_tells_what_a_model_takes(capsys) -> None:
    """Digest, inputs and outputs on one screen."""
    assert main(["model", "show", EDGE]) == 0

    shown = capsys.readouterr().out
    assert "input    image FP32 [-1, 784]" in shown
    assert "digest   sha256:" in shown


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not an array", "cannot be read as a .npy array"), (None, "must hold one array of inputs")],
)
def test_bad_sample_is_named(tmp_path: Path, content: bytes | None, says: str, capsys) -> None:
    """A sample that proves nothing exits 2 with what to do."""
    file = tmp_path / "bad.npy"
    if content is None:
        np.save(file, np.zeros(0))
    else:
        file.write_bytes(content)

    code = certify(file)

    assert code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "rows", [np.zeros((4, 784)), np.zeros((4, 3), np.float32), np.zeros((4, 2, 392), np.float32)]
)
def test_sample_of_another_kind_is_compared_with_the_input(tmp_path: Path, rows: np.ndarray, capsys) -> None:
    """numpy's default is float64: the message says what is there and what is wanted."""
    np.save(tmp_path / "s.npy", rows)

    code = certify(tmp_path / "s.npy", central=EDGE)

    assert code == 2
    assert "is FP32 [-1, 784]" in capsys.readouterr().err


def test_sample_that_proves_nothing_fails(tmp_path: Path, capsys) -> None:
    """One row proves no threshold: the certificate defers everything and the command says so."""
    np.save(tmp_path / "s.npy", digits.as_input(digits.load_split("calibration")[0][:1]))
    out = tmp_path / "c.json"

    code = certify(tmp_path / "s.npy", out)

    assert code == 1
    assert "prove no threshold safe" in capsys.readouterr().err


def test_corrupt_model_is_named(tmp_path: Path, capsys) -> None:
    """A file that is no model exits 2 and is named."""
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"\x08\x07garbage")

    assert main(["model", "show", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [certify, lambda _sample: main(["model", "show", EDGE])], ids=["certify", "show"]
)
def test_missing_runtime_is_told_with_its_extra(
    command: Callable[[str], int], sample: str, monkeypatch, capsys
) -> None:
    """What cannot run says what to install, instead of a traceback."""
    for name in sys.modules.keys() & NEED_ONNXRUNTIME:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    code = command(sample)

    assert code == 1
    assert "onnxruntime is missing, which the extra `cpu`" in capsys.readouterr().err


def test_library_that_nobody_knows_is_a_bug(monkeypatch) -> None:
    """Only the libraries of the extras are explained; anything else missing shows its traceback."""
    monkeypatch.delitem(sys.modules, "edge_models.split_session", raising=False)
    monkeypatch.setitem(sys.modules, "edge_models.session", None)

    with pytest.raises(ModuleNotFoundError, match=r"edge_models\.session"):
        main(["model", "show", EDGE])
