"""A whole file in memory that nobody else can write to."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import maxminddb
import pytest

from routing import geo_file
from routing.geo import GeoError, Places
from routing.geo_file import GeoFileError, file_signature, in_memory
from routing.place import Place
from tests.routing.mmdb import mmdb

GEO = Path(__file__).parents[1] / "data" / "geo"
CITY = GEO / "GeoIP2-City-Test.mmdb"
DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture(params=["sealed", "bytes"])
def copies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the memory files of Linux, and as it is done without them."""
    if request.param == "bytes":
        monkeypatch.delattr(os, "memfd_create")
    return str(request.param)


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("what", ["emptied", "cut", "written over", "deleted"])
def test_what_is_done_to_the_file_is_not_seen(tmp_path: Path, what: str) -> None:
    """Written over in place, a mapped file would end the process here."""
    file = tmp_path / "geo.mmdb"
    content = CITY.read_bytes()
    file.write_bytes(content)
    places = Places.open(file)

    with file.open("r+b") as opened:
        opened.truncate({"emptied": 0, "cut": 4096}.get(what, len(content)))
        opened.write(bytes(len(content)) if what == "written over" else b"")
    if what == "deleted":
        file.unlink()

    assert places.locate("81.2.69.142") == Place("GB", "EU", ("GB-ENG",))
    assert places.locate("2001:218::1") == Place("JP", "AS")


def test_the_copy_is_mapped_by_the_reader_in_c(copies: str) -> None:
    """Which takes a tenth of the time; without memory files it is Python's."""
    with in_memory(CITY) as copy:
        reader = maxminddb.open_database(copy.source, copy.mode)
        is_sealed = isinstance(copy.source, str)

    assert is_sealed is (copies == "sealed")
    assert reader.get("81.2.69.142")
    reader.close()


def test_a_copy_leaves_no_descriptor(copies: str, tmp_path: Path) -> None:
    """However often, and if it fails as well."""
    del copies
    (tmp_path / "bad.mmdb").write_bytes(b"nothing")
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(5):
        Places.open(CITY)
        with pytest.raises(GeoError):
            Places.open(tmp_path / "bad.mmdb")

    assert len(list(DESCRIPTORS.iterdir())) == before


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """At once: a FIFO would keep the reader waiting, a device gives bytes for ever."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path / "link", tmp_path / "folder", Path("/dev/zero")):
        with pytest.raises(GeoError, match=r"is not a regular file"):
            Places.open(path)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    """A sparse file of a terabyte takes no memory."""
    with (tmp_path / "huge.mmdb").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(GeoError, match=r"is larger than 1024 MiB"):
        Places.open(tmp_path / "huge.mmdb")


@pytest.mark.usefixtures("copies")
def test_a_file_that_is_written_to_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was copied may be half of one and half of the other."""
    file = tmp_path / "geo.mmdb"
    file.write_bytes(mmdb({"country_code": "US"}, {"country_code": "US"}))
    original = geo_file.stat.S_ISREG

    def written_meanwhile(mode: int) -> bool:
        with file.open("ab") as opened:
            opened.write(b"more")
        return original(mode)

    monkeypatch.setattr(geo_file.stat, "S_ISREG", written_meanwhile)
    with pytest.raises(GeoFileError, match="is being written to"), in_memory(file):
        pass


def test_a_signature_changes_with_every_write(tmp_path: Path) -> None:
    """By size, by time, and by being another file; one that is gone has none."""
    file, other = tmp_path / "x", tmp_path / "y"
    assert file_signature(file) is None
    seen = set()
    for content in (b"a", b"ab"):
        file.write_bytes(content)
        seen.add(file_signature(file))
    other.write_bytes(b"ab")
    other.rename(file)
    seen.add(file_signature(file))

    assert len(seen) == 3
    assert file_signature(file) == file_signature(file)


def test_a_copy_in_a_thread_is_the_same(tmp_path: Path) -> None:
    """Where the gateway makes it."""
    found: list[Place | None] = []
    thread = threading.Thread(target=lambda: found.append(Places.open(CITY).locate("81.2.69.142")))
    thread.start()
    thread.join()

    assert found == [Place("GB", "EU", ("GB-ENG",))]
    assert not list(tmp_path.iterdir())
