"""What is missing is named with the command that brings it, for the way in which Edgeway was installed."""

from __future__ import annotations

import json
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from gateway.commands import extras


class Installed(Distribution):
    """As pip leaves it behind: ``url`` of what it was given, None for an index."""

    def __init__(self, url: str | None) -> None:
        self.url = url

    def read_text(self, filename: str) -> str | None:
        assert filename == "direct_url.json"
        return None if self.url is None else json.dumps({"url": self.url, "dir_info": {}})

    def locate_file(self, path: object) -> Path:
        raise AssertionError(path)


def test_the_command_names_where_it_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout or a wheel by its path, while it is there; else the name on an index."""
    wheel = tmp_path / "a b" / "edgeway-1-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    for url, source in (
        (tmp_path.as_uri(), str(tmp_path)),
        (wheel.as_uri(), str(wheel)),
        ((tmp_path / "gone").as_uri(), "edgeway"),
        ("git+ssh://git@example.com/edgeway.git", "edgeway"),
        (None, "edgeway"),
    ):
        monkeypatch.setattr(extras, "distribution", lambda _name, url=url: Installed(url))
        assert extras.source() == source
        assert extras.how_to_install("onnx.helper") == (
            f"onnx.helper is missing, which the extra `models` brings: pip install '{source}[models]'"
        )


def test_a_build_of_onnx_runtime_is_a_choice() -> None:
    """For CPUs, or for CUDA."""
    assert "extra `cpu` (or `gpu`" in str(extras.how_to_install("onnxruntime"))


def test_what_no_extra_brings_is_not_ours_to_explain() -> None:
    """A module that Edgeway itself needs is a broken installation, with its traceback."""
    assert extras.how_to_install("numpy") is None
    assert extras.how_to_install("") is None
