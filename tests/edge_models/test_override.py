"""What an order to load may bring with it, and what it may not."""

from __future__ import annotations

import base64

import pytest

from edge_models.errors import ModelError
from edge_models.override import MOST_FILES, placed, read_override

CONFIG = '{"max_batch_size": 4}'


def test_what_an_order_brings():
    assert read_override({}) is None
    assert read_override({"config": CONFIG}).config.max_batch_size == 4
    override = read_override(
        {"config": CONFIG, "file:1/model.onnx": b"\x01", "file:labels.txt": base64.b64encode(b"a").decode()}
    )
    assert override.files == {"1/model.onnx": b"\x01", "labels.txt": b"a"}


@pytest.mark.parametrize("size", [0, 1, (1 << 18) // 4 * 3, (1 << 18) // 4 * 3 + 1, 1_000_000])
def test_a_file_of_any_size(size):
    """Whether it is one piece of base64 or several."""
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]

    override = read_override({"config": CONFIG, "file:a": base64.b64encode(content).decode()})

    assert override.files == {"a": content}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"file:1/model.onnx": b"x"}, "needs a configuration override"),
        ({"config": 1}, "config: must be JSON"),
        ({"config": True}, "config: must be JSON"),
        ({"config": "{"}, "config: "),
        ({"config": CONFIG, "priority": 1}, "parameters 'priority' are not supported"),
        ({"config": CONFIG, "file:1/model.onnx": "?"}, "file:1/model.onnx: is not base64"),
        ({"config": CONFIG, "file:1/model.onnx": "YQ==YQ=="}, "file:1/model.onnx: is not base64"),
        ({"config": CONFIG, "file:1/model.onnx": "YQ\n=="}, "file:1/model.onnx: is not base64"),
        ({"config": CONFIG, "file:1/model.onnx": "YQ=="[:3] * 100_001}, "file:1/model.onnx: is not base64"),
        ({"config": CONFIG, "file:1/model.onnx": "YWJj" * 100_000 + "é"}, "file:1/model.onnx: is not base64"),
        ({"config": CONFIG, "file:1/model.onnx": 3}, "must be the file's content"),
        *(
            ({"config": CONFIG, f"file:{path}": b"x"}, "is no path of a file in a model's folder")
            for path in ("", "/etc/passwd", "../x", "1/../../x", "..", "1\\x", "a\nb", "x" * 300)
        ),
        ({"config": CONFIG, **{f"file:{n}": b"" for n in range(MOST_FILES + 1)}}, "has more than 1024 files"),
    ],
)
def test_what_it_may_not_bring(parameters, words):
    with pytest.raises(ModelError) as refused:
        read_override(parameters)
    assert words in str(refused.value)


def test_files_have_a_place_while_they_are_read(tmp_path):
    (tmp_path / "digits").mkdir()
    with placed(tmp_path, "digits", None) as folder:
        assert folder == tmp_path / "digits"
    with placed(tmp_path, "digits", read_override({"config": CONFIG})) as folder:
        assert folder == tmp_path / "digits"
    with placed(tmp_path, "digits", read_override({"config": CONFIG, "file:1/a": b"x"})) as folder:
        assert (folder.name, (folder / "1/a").read_bytes()) == ("digits", b"x")
    assert not folder.exists()


def test_without_a_place_for_files_the_order_is_refused(tmp_path, monkeypatch):
    """A container may have no folder that can be written."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    override = read_override({"config": CONFIG, "file:1/a": b"x"})

    with (
        pytest.raises(ModelError, match=r"need a folder for a moment.*TMPDIR"),
        placed(tmp_path, "m", override),
    ):
        pass


def test_what_is_wrong_names_no_place_of_the_machine(tmp_path):
    override = read_override({"config": CONFIG, "file:1/a": b"x", "file:1": b"y"})
    with (
        pytest.raises(ModelError, match=r"^file:1: cannot be written: "),
        placed(tmp_path, "digits", override),
    ):
        pass
    override = read_override({"config": CONFIG, "file:1/a": b"x"})
    with (
        pytest.raises(ModelError, match=r"^digits/1/a: is odd$"),
        placed(tmp_path, "digits", override) as folder,
    ):
        raise ModelError(f"{folder}/1/a: is odd")
