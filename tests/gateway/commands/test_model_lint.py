"""`edgeway model lint` as it is called."""

from __future__ import annotations

import json
import os

from gateway.__main__ import main
from tests.edge_models import onnx_models


def test_status_and_lines(tmp_path, capsys):
    """0, 1 and 2: nothing, warnings, errors; each line begins with what an editor can open."""
    onnx_models.write(tmp_path, "digits", onnx_models.softmax())
    file = tmp_path / "digits/config.pbtxt"

    assert main(["model", "lint", str(tmp_path / "digits")]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out

    file.write_text("\nmetric_tags { key: 'a' }")
    assert main(["model", "lint", str(tmp_path)]) == 1
    assert f"{file}:2: warning: metric_tags is not obeyed" in capsys.readouterr().out

    file.write_text("max_batch_size: -1")
    assert main(["model", "lint", str(tmp_path), "--json"]) == 2
    (found,) = json.loads(capsys.readouterr().out)
    assert found == {
        "model": "digits",
        "severity": "error",
        "where": f"{file}:1",
        "message": "'max_batch_size' must be non-negative value for digits",
    }


def test_no_folder(tmp_path, capsys):
    assert main(["model", "lint", str(tmp_path / "absent")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_folders_with_any_name(tmp_path, capsys):
    """Names that are no text, and such as would write on the screen, are lines like others."""
    for name in (b"b\xffad", b"line\nbreak", b"e\x1b[31m"):
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)  # noqa: PTH102 - pathlib has no names in bytes

    assert main(["model", "lint", str(tmp_path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert f"{tmp_path}/b?ad/.: error: " in lines[0]


def test_the_folder_in_which_one_is(tmp_path, capsys, monkeypatch):
    """Without a name of its own; a version's folder and a file are told from it."""
    onnx_models.write(tmp_path, "digits", onnx_models.softmax())
    monkeypatch.chdir(tmp_path / "digits")

    assert main(["model", "lint", "."]) == 0
    for path in ("1", "1/model.onnx"):
        assert main(["model", "lint", path]) == 2
        assert "is not a model's folder, in which 1/model.onnx lies" in capsys.readouterr().err
