"""`enrich.json` of a model's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from edge_models.enrich_file import ENRICH_FILE, check_enriched, read_enriched
from edge_models.errors import ModelError
from edge_models.lint import lint
from edge_models.registry import Registry
from edge_models.settings import ModelsSettings
from gateway.core.catalog import ModelSpec, TensorSpec
from tests.edge_models import onnx_models

ENTRY = {"from": "users", "key": "id", "input": "image", "default": [0, 0, 0, 0]}
SPEC = ModelSpec(
    "shop", ("1",), "", (TensorSpec("image", "FP32", (-1, 4)), TensorSpec("code", "INT64", (-1, 1))), ()
)


def write(folder: Path, *entries: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ENRICH_FILE).write_text(json.dumps({"enrich": entries}))


def test_a_folder_without_one_declares_nothing(tmp_path: Path) -> None:
    assert read_enriched(tmp_path, tmp_path) == ()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"enrich": []}', b"\xff", b"[" * 100_000])
def test_content_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ENRICH_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=ENRICH_FILE):
        read_enriched(tmp_path, tmp_path)


def test_files_that_are_none(tmp_path: Path) -> None:
    """A link out of the repository, a pipe, a folder, one that may not be read."""
    root = tmp_path / "repository"
    for name in ("link", "pipe", "folder"):
        (root / name).mkdir(parents=True)
    (tmp_path / "secret").write_text("{}")
    (root / "link" / ENRICH_FILE).symlink_to(tmp_path / "secret")
    os.mkfifo(root / "pipe" / ENRICH_FILE)
    (root / "folder" / ENRICH_FILE).mkdir()
    for name in ("link", "pipe", "folder"):
        with pytest.raises(ModelError, match=ENRICH_FILE):
            read_enriched(root, root / name)
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(ModelError, match="cannot be read"):
        read_enriched(root, root / "loop")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": "imagee"}, "did you mean 'image'"),
        ({"input": "code", "default": [0]}, "is INT64"),
        ({"default": [0]}, "vectors of 1 FP32 elements"),
        ({"key": "code"}, 'say "pass_on": true'),
        ({"key": "nothing", "pass_on": True}, "has no such input"),
        ({"key": "code", "pass_on": True}, "has it as INT64"),
    ],
)
def test_what_does_not_fit_the_model(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path, {**ENTRY, **changes})
    with pytest.raises(ModelError, match=message):
        check_enriched(tmp_path, read_enriched(tmp_path, tmp_path), SPEC)


def test_what_fits(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    check_enriched(tmp_path, read_enriched(tmp_path, tmp_path), SPEC)
    write(tmp_path, {**ENTRY, "key": "code", "datatype": "INT64", "pass_on": True})
    check_enriched(tmp_path, read_enriched(tmp_path, tmp_path), SPEC)


def test_a_repository_with_one(tmp_path: Path) -> None:
    """A folder that does not fit its model is refused, and no other; one without a model is no model."""
    for name in ("good", "bad"):
        onnx_models.write(tmp_path, name, onnx_models.softmax())
    write(tmp_path / "good", ENTRY)
    write(tmp_path / "bad", {**ENTRY, "default": [0]})
    write(tmp_path / "central", ENTRY)

    registry = Registry.load(ModelsSettings(repository=str(tmp_path)))

    assert {model.name for model in registry} == {"good"}
    assert list(registry.refused) == ["bad"]
    assert "vectors of 1 FP32 elements" in registry.refused["bad"].reason
    found = {(folder.name, remark.where) for folder, remark in lint(tmp_path) if remark.severity == "error"}
    assert found == {("bad", ENRICH_FILE)}


def test_a_repository_of_nothing_else(tmp_path: Path) -> None:
    """An edge may have no model of its own and still fill central's inputs."""
    write(tmp_path / "central", ENTRY)

    assert list(Registry.load(ModelsSettings(repository=str(tmp_path)))) == []
