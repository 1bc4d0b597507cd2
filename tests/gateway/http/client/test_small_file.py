"""Files of secrets and certificates: what is no such file is refused at once, and never quoted."""

from __future__ import annotations

import os

import pytest

from gateway.http.client.small_file import OwnFileError, read_small


def test_what_is_there_is_read(tmp_path):
    """As it is."""
    file = tmp_path / "token"
    file.write_bytes(b"abc\n")
    assert read_small(str(file)) == b"abc\n"


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "large", "empty", "blank", "nul"])
def test_what_is_no_small_file_is_refused(tmp_path, kind):
    """A pipe that nobody writes to, and a file without end, hold nothing up."""
    file = tmp_path / "token"
    match kind:
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "large":
            file.write_bytes(b"secret" * 10)
        case "empty":
            file.touch()
        case "blank":
            file.write_bytes(b" \n")
    path = "a\0b" if kind == "nul" else str(file)
    with pytest.raises(OwnFileError) as caught:
        read_small(path, 32)
    assert path in str(caught.value)
    assert "secret" not in str(caught.value)
