"""The thread that writes the request log."""

from __future__ import annotations

import errno
import os
import resource
import threading
from pathlib import Path

import pytest

from cache.request_log import writer as writer_module
from cache.request_log.writer import LogWriter, append


def encoded(number: int) -> bytes:
    return b"%09d\n" % number


def write(file: Path, numbers: range, max_bytes: int = 1 << 20) -> LogWriter[int]:
    writer = LogWriter(file, max_bytes, encoded)
    writer.start()
    for number in numbers:
        writer.add(number)
    writer.close()
    return writer


def test_all_is_written_in_its_order(tmp_path: Path) -> None:
    """When it is closed at the latest, after what was there; nobody else may read it."""
    file = tmp_path / "log"
    file.write_bytes(encoded(0))
    file.chmod(0o600)
    writer = write(file, range(1, 12_000))
    assert file.read_bytes() == b"".join(map(encoded, range(12_000)))
    assert writer.lost == 0
    assert "0 lines wait, 0 lost" in repr(writer)
    write(tmp_path / "new", range(1))
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_what_waits_is_written_without_a_close(tmp_path: Path) -> None:
    """By turns; nobody wakes the thread."""
    written = threading.Event()

    def encode(number: int) -> bytes:
        written.set()
        return encoded(number)

    writer = LogWriter(tmp_path / "log", 1 << 20, encode, every_s=0.001)
    writer.start()
    writer.add(1)
    assert written.wait(10)
    writer.close()


@pytest.mark.parametrize("lines", [100, 101, 250, 12_345])
def test_both_files_stay_within_the_bytes(tmp_path: Path, lines: int) -> None:
    """The last lines are there, each whole; a line has ten bytes, a file a hundred lines."""
    file, older = tmp_path / "log", tmp_path / "log.1"
    write(file, range(lines), max_bytes=2000)
    held = (older.read_bytes() if older.exists() else b"") + file.read_bytes()
    assert file.stat().st_size <= 1000
    assert len(held) <= 2000
    kept = len(held) // 10
    assert kept >= min(lines, 100)
    assert held == b"".join(map(encoded, range(lines - kept, lines)))


def test_too_many_that_wait_are_lost_and_counted(tmp_path: Path, monkeypatch) -> None:
    """Whoever adds them does not wait."""
    monkeypatch.setattr(writer_module, "MOST_WAITING", 10)
    file = tmp_path / "log"
    writer = LogWriter(file, 1 << 20, encoded)
    for number in range(15):
        writer.add(number)
    assert writer.lost == 5
    writer.start()
    writer.close()
    assert file.read_bytes() == b"".join(map(encoded, range(10)))


def test_what_cannot_be_written_is_lost_and_later_lines_are_not(tmp_path: Path) -> None:
    """The folder is gone for a while."""
    folder = tmp_path / "logs"
    folder.mkdir()
    encodes = threading.Semaphore(0)

    def encode(number: int) -> bytes:
        encodes.release()
        return encoded(number)

    writer = LogWriter(folder / "log", 1 << 20, encode, every_s=0.001)
    writer.start()
    (folder / "log").unlink()
    folder.rmdir()
    writer.add(1)
    assert encodes.acquire(timeout=10)
    while not writer.lost:
        pass
    folder.mkdir()
    writer.add(2)
    writer.close()
    assert (folder / "log").read_bytes() == encoded(2)
    assert writer.lost == 1


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "absent"])
def test_what_is_no_file_is_refused_at_the_start(tmp_path: Path, kind: str) -> None:
    """A pipe nobody reads does not hold it up."""
    place = tmp_path / "log"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to(tmp_path / "other")
    else:
        place = place / "log"
    writer = LogWriter(place, 1 << 20, encoded)
    with pytest.raises(OSError, match=r"\w"):
        writer.start()
    writer.close()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """The limit of a file's size stands for it."""
    file = tmp_path / "log"
    append(file, b"x" * 4000, 1 << 20)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4500, limits[1]))
    try:
        with pytest.raises(OSError, match="No space") as failed:
            append(file, b"y" * 1000, 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed.value.errno == errno.ENOSPC
    assert file.read_bytes() == b"x" * 4000


def test_several_write_one_file(tmp_path: Path) -> None:
    """Nothing is torn and nothing is lost while it is moved aside: every line is whole."""
    file = tmp_path / "log"

    def fill(letter: bytes) -> None:
        for _ in range(150):
            append(file, letter * 9 + b"\n", 1000)

    threads = [threading.Thread(target=fill, args=(bytes([65 + nth]),)) for nth in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for part in (file, tmp_path / "log.1"):
        lines = part.read_bytes().splitlines()
        assert 0 < len(lines) <= 100
        assert all(len(line) == 9 and len(set(line)) == 1 for line in lines)
