"""What is missing is named with the command that brings it, for the way in which Edgeway was installed."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest

from gateway.commands import extras

PIP = f"{sys.executable} -m pip install"


class Installed(Distribution):
    """As pip leaves it behind: ``origin`` is what it was installed from, None for an index."""

    def __init__(self, origin: str | None) -> None:
        self.origin = origin

    def read_text(self, filename: str) -> str | None:
        assert filename == "direct_url.json"
        return self.origin

    def locate_file(self, path: object) -> Path:
        raise AssertionError(path)


@pytest.fixture
def came_from(monkeypatch: pytest.MonkeyPatch):
    def came(origin: str | dict[str, Any] | None) -> None:
        text = json.dumps(origin) if isinstance(origin, dict) else origin
        monkeypatch.setattr(extras, "distribution", lambda _name: Installed(text))

    return came


def test_the_command_names_where_it_came_from(tmp_path: Path, came_from) -> None:
    """A checkout, editable or not, or a wheel, by its path, whatever is in that."""
    checkout, wheel = tmp_path / "it's here", tmp_path / "a b" / "edgeway-1-py3-none-any.whl"
    checkout.mkdir()
    wheel.parent.mkdir()
    wheel.touch()
    for origin, words in (
        ({"url": checkout.as_uri(), "dir_info": {}}, [f"{checkout}[models]"]),
        ({"url": checkout.as_uri(), "dir_info": {"editable": True}}, ["--editable", f"{checkout}[models]"]),
        ({"url": wheel.as_uri(), "archive_info": {}}, [f"{wheel}[models]"]),
    ):
        came_from(origin)
        sentence = extras.how_to_install("onnx.helper")
        assert sentence is not None
        head, _, command = sentence.partition(": ")
        assert head == "onnx.helper is missing, which the extra `models` brings"
        assert shlex.split(command) == [*shlex.split(PIP), *words]


@pytest.mark.parametrize(
    "origin",
    [None, "", "no json", {"url": "git+ssh://git@example.com/edgeway.git"}, {"url": "file:///is/gone"}],
)
def test_where_that_is_not_known_no_name_of_an_index_is_invented(origin, came_from) -> None:
    """Whoever has that name there may be anybody."""
    came_from(origin)

    sentence = extras.how_to_install("onnx")

    assert sentence is not None
    assert sentence.endswith("with [models] behind the folder, wheel or address that it came from")
    assert "edgeway[" not in sentence


def test_all_that_a_command_misses_is_named_at_once(tmp_path: Path, came_from, monkeypatch) -> None:
    """The demo needs two extras: not one sentence after the other."""
    came_from({"url": tmp_path.as_uri(), "dir_info": {}})
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)

    assert extras.how_to_install("onnxruntime", "demo") == (
        "onnxruntime and tritonclient are missing, which the extras `cpu` and `demo` bring"
        f" (`gpu` instead of `cpu` on a machine with CUDA): {PIP} {shlex.quote(f'{tmp_path}[cpu,demo]')}"
    )
    monkeypatch.setattr(extras, "find_spec", lambda _name: object())
    assert "onnxruntime is missing, which the extra `cpu` brings" in str(
        extras.how_to_install("onnxruntime", "demo")
    )


def test_what_no_extra_brings_is_not_ours_to_explain() -> None:
    """A module that Edgeway itself needs is a broken installation, with its traceback."""
    assert extras.how_to_install("numpy") is None
    assert extras.how_to_install("") is None
