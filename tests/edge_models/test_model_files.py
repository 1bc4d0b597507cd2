"""A model's own file and those beside it: what is read, what is not, and what the digest covers."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import onnx
import pytest

from edge_models.errors import ModelError
from edge_models.model_files import MOST_FILES, ModelFiles, read_files, read_model_files, write_files
from edge_models.session import Session
from tests.edge_models import hostile_models, onnx_models

MIB = 1 << 20


def written(folder, location: str, content: bytes = np.array([42], "<f4").tobytes()):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(hostile_models.external(location))
    if content:
        (folder / location).parent.mkdir(parents=True, exist_ok=True)
        (folder / location).write_bytes(content)
    return path


@pytest.mark.parametrize("location", ["weights", "sub/weights.bin", "./weights", "w" * 200])
def test_weights_beside_the_model_are_used(tmp_path, location):
    path = written(tmp_path / "digits/1", location)

    session = Session(path, read_model_files(tmp_path, path, max_bytes=MIB))

    assert session.run({"x": np.array([[1]], np.float32)})[0].tolist() == [[43.0]]


def test_many_tensors_in_one_file(tmp_path):
    """As exporters write them: offsets into one file."""
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.load_from_string(onnx_models.softmax()),
        path,
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    whole, split = tmp_path / "whole.onnx", read_model_files(tmp_path, path, max_bytes=MIB)
    whole.write_bytes(onnx_models.softmax())
    rows = {"image": np.arange(8, dtype=np.float32).reshape(2, 4)}

    assert list(split.external) == ["model.onnx.data"]
    for one, other in zip(Session(path, split).run(rows), Session(whole).run(rows), strict=True):
        assert one.tolist() == other.tolist()


def test_the_digest_covers_every_file(tmp_path):
    """A certificate names it: other weights under the same graph are another model."""
    plain = ModelFiles(b"abc")
    assert plain.digest() == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"

    path = written(tmp_path, "weights")
    first = read_model_files(tmp_path, path, max_bytes=MIB)
    (tmp_path / "weights").write_bytes(np.array([7], "<f4").tobytes())
    second = read_model_files(tmp_path, path, max_bytes=MIB)

    digests = {first.digest(), second.digest(), ModelFiles(first.content).digest()}
    assert len(digests) == 3
    assert ModelFiles(b"", {"a": b"bc"}).digest() != ModelFiles(b"", {"ab": b"c"}).digest()


def test_what_lies_beside_and_is_not_named_is_not_read(tmp_path):
    path = written(tmp_path, "weights")
    (tmp_path / "checkpoint").write_bytes(b"x")

    assert list(read_model_files(tmp_path, path, max_bytes=MIB).external) == ["weights"]


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x00\x00\x80"])
def test_a_file_that_ends_before_its_weights(tmp_path, content):
    """An offset beyond the end is an error of the model, and no byte of something else."""
    path = written(tmp_path, "weights", b"")
    (tmp_path / "weights").write_bytes(content)

    with pytest.raises(ModelError, match="is not a model that ONNX Runtime can load"):
        Session(path, read_model_files(tmp_path, path, max_bytes=MIB))


def test_all_files_together_have_one_bound(tmp_path):
    path = written(tmp_path, "weights", bytes(MIB))

    files = read_model_files(tmp_path, path, max_bytes=MIB)

    assert files.external == {}
    assert files.refused == ("'weights' has 1 MiB, and no more than 1,048,440 bytes are read",)


def test_too_many_files(tmp_path):
    path = tmp_path / "model.onnx"
    entry = b"\x0a\x08location\x12\x05%05d"
    path.write_bytes(b"".join(entry % number for number in range(MOST_FILES + 1)))

    with pytest.raises(ModelError, match="keeps weights in more than 4,096 files"):
        read_model_files(tmp_path, path, max_bytes=MIB)


@pytest.mark.parametrize(
    "tail", [b"", b"\x80", b"\xff\xff", b"\x05ab", b"\x02\xff\xfe", b"\xff\x7f" + b"a" * 9]
)
def test_what_looks_like_a_name(tmp_path, tail):
    """Bytes of weights may: a file of that name is not needed, and nothing is refused because of them."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x0a\x08location\x12" + tail)

    assert read_model_files(tmp_path, path, max_bytes=MIB).external == {}


def test_files_travel_to_another_process():
    files = ModelFiles(b"model", {"a": b"", "b/c": b"\x00\x01"})
    stream = io.BytesIO()
    write_files(stream, files)
    stream.seek(0)

    assert read_files(stream) == files
    assert repr(files) == "<ModelFiles 0 KiB in 3 files>"
