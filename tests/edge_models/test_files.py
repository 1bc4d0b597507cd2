"""What is read from where somebody else may write: files within a folder, and nothing else."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from edge_models.files import FileError, read_within


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    return folder


def refusal(root: Path, path: Path, max_bytes: int = 1 << 20) -> str:
    with pytest.raises(FileError) as refused:
        read_within(root, path, max_bytes=max_bytes)
    return str(refused.value)


def test_files_and_links_within_are_read(root):
    """As Kubernetes mounts them: a link to ``..data``, which is a link to a folder; the root may be one, too."""
    (root / "..2026").mkdir()
    (root / "..2026" / "file").write_bytes(b"content")
    (root / "..data").symlink_to("..2026")
    (root / "file").symlink_to("..data/file")
    (root.parent / "mount").symlink_to(root)

    assert read_within(root, root / "file", max_bytes=7) == b"content"
    assert read_within(root.parent / "mount", root.parent / "mount" / "file", max_bytes=7) == b"content"


@pytest.mark.parametrize("target", ["../outside/secret", "/etc/passwd", "/proc/self/environ"])
def test_links_that_lead_out(root, target):
    """Whatever they lead to."""
    (root / "file").symlink_to(target)

    assert "a link that leads out of 'root'" in refusal(root, root / "file")


def test_a_folder_that_leads_out(root):
    """Every part of the way counts, and ``..`` in it as well."""
    (root / "folder").symlink_to("../outside")

    assert "leads out" in refusal(root, root / "folder" / "secret")
    assert "leads out" in refusal(root, root / ".." / "outside" / "secret")


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a folder", "a device"])
def test_what_is_no_file(root, kind):
    """It is refused by its kind, and nobody waits for the other end of a pipe."""
    path = root / "file"
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))

    assert refusal(root, path) == f"is {kind}, and not a file"


def test_sizes(root):
    """A file of a terabyte, which has no content, is not read; nor is one a byte too long."""
    (root / "file").write_bytes(b"12345")
    os.truncate(root / "file", 1 << 40)

    assert refusal(root, root / "file") == "has 1,048,576 MiB, and no more than 1 MiB are read"
    os.truncate(root / "file", 5)
    assert read_within(root, root / "file", max_bytes=5) == b"12345"
    assert refusal(root, root / "file", 4) == "has 5 bytes, and no more than 4 bytes are read"


def test_files_that_do_not_say_their_size():
    """Those of /proc have content beyond the size that they name; what is read is bounded all the same."""
    with pytest.raises(FileError, match="grows while it is read"):
        read_within(Path("/proc"), Path("/proc/cpuinfo"), max_bytes=10)


def test_what_cannot_be_opened(root):
    """The operating system's error is left to the caller."""
    with pytest.raises(FileNotFoundError):
        read_within(root, root / "none", max_bytes=1)
    (root / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="symbolic links"):
        read_within(root, root / "circle", max_bytes=1)
