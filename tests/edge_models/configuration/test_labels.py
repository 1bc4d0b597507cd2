"""Names of classes, from the file that an output names."""

from __future__ import annotations

import os

import pytest

from edge_models.configuration.labels import MOST_BYTES, MOST_LABELS, read_labels
from edge_models.configuration.reading import parse_text
from edge_models.errors import ModelError


def labels(tmp_path, file: str = "labels.txt"):
    config = parse_text(
        f'output {{ name: "other" }}\noutput {{ name: "scores"\n label_filename: "{file}" }}'.encode()
    )
    return read_labels(config, tmp_path, tmp_path / "digits")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"cat\ndog\n", ("cat", "dog")),
        (b"cat\r\ndog", ("cat", "dog")),
        (b"\xef\xbb\xbfcat\n\ntabby cat:x\n", ("cat", "", "tabby cat:x")),
        ("Käse\n".encode(), ("Käse",)),
        ("a\u2028b\u0085c\x0bd\n".encode(), ("a\u2028b\u0085c\x0bd",)),
        (b"", ()),
    ],
)
def test_one_a_line(tmp_path, folder, content, expected):
    """In the order of the classes; an empty line is a class without a name; only a line feed ends one."""
    (folder / "labels.txt").write_bytes(content)

    assert labels(tmp_path) == {"scores": expected}


def test_without_a_file_there_are_none(tmp_path):
    """Nor without a name of one."""
    assert read_labels(None, tmp_path, tmp_path / "digits") == {}
    assert read_labels(parse_text(b'output { name: "scores" }'), tmp_path, tmp_path / "digits") == {}


@pytest.mark.parametrize("file", ["../labels.txt", "/etc/hostname", "a/../../labels.txt", "link.txt"])
def test_nothing_outside_is_read(tmp_path, folder, file):
    """By no name, and by no link."""
    (tmp_path.parent / "labels.txt").write_text("secret")
    (folder / "link.txt").symlink_to("/etc/hostname")

    with pytest.raises(ModelError, match=r"^config\.pbtxt:3: label_filename"):
        labels(tmp_path, file)


def test_a_file_that_is_none_or_too_large_is_refused(tmp_path, folder):
    """With the line that names it, and before much of it is read."""
    path = folder / "labels.txt"
    with pytest.raises(ModelError, match=r"config\.pbtxt:3: .*cannot be read: No such file"):
        labels(tmp_path)
    os.mkfifo(path)
    with pytest.raises(ModelError, match="is a named pipe"):
        labels(tmp_path)
    path.unlink()
    path.write_bytes(b"\xff\n")
    with pytest.raises(ModelError, match="is not UTF-8"):
        labels(tmp_path)
    path.write_bytes(b"\n" * (MOST_LABELS + 1))
    with pytest.raises(ModelError, match="more than 262,144 lines"):
        labels(tmp_path)
    path.write_bytes(b"x" * (MOST_BYTES + 1))
    with pytest.raises(ModelError, match="no more than 4 MiB are read"):
        labels(tmp_path)
