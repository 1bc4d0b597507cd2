"""Which of Triton's examples are run, how, and when one has passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.clients.triton_examples import Example, find, main, run


def test_what_is_run(tmp_path: Path) -> None:
    """By its name: the protocol, the options, and what unloads a model at the end."""
    for name in (
        "simple_http_model_control",
        "simple_grpc_infer_client",
        "simple_http_sequence_sync_infer_client",
        "simple_grpc_cudashm_client",
        "grpc_explicit_byte_content_client",
        "reuse_infer_objects_client",
        "image_client",
    ):
        (tmp_path / f"{name}.py").touch()

    assert [(each.name, each.protocol) for each in find(tmp_path)] == [
        ("grpc_explicit_byte_content_client", "grpc"),
        ("reuse_infer_objects_client -i http", "http"),
        ("reuse_infer_objects_client -i grpc", "grpc"),
        ("simple_grpc_infer_client", "grpc"),
        ("simple_http_sequence_sync_infer_client", "http"),
        ("simple_http_sequence_sync_infer_client -d", "http"),
        ("simple_http_model_control", "http"),
    ]


@pytest.mark.parametrize(
    ("text", "passed", "reason"),
    [
        ("print('PASS: infer')", True, ""),
        ("print('error: wrong')\nexit(1)", False, "error: wrong"),
        ("import sys\nif '-u' not in sys.argv: print('PASS')\nprint('sum is 3')", False, "sum is 3"),
        ("import sys\nassert sys.argv[2] == '127.0.0.1:80'", True, ""),
        ("exit(3)", False, "no word"),
    ],
)
def test_when_one_has_passed(tmp_path: Path, text: str, passed: bool, reason: str) -> None:
    """It ends with 0, and says PASS where it has that word; else its last line is the reason."""
    file = tmp_path / "simple_http_x.py"
    file.write_text(text)

    outcome = run(Example(file, "http"), 80)

    assert (outcome.passed, outcome.reason) == (passed, reason)


def test_a_folder_without_examples_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is started, with what is wanted."""
    monkeypatch.setattr("sys.argv", ["triton_examples", "--examples", str(tmp_path)])

    with pytest.raises(SystemExit, match="2"):
        main()

    assert "what is wanted is the folder src/python/examples" in capsys.readouterr().err
