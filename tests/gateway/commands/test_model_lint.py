"""`edgeway model lint` as it is called."""

from __future__ import annotations

import json

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
