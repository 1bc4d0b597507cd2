"""What is read from files: the last that was good stays, one reads for all, and not all the time."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from gateway.http.client.rotating import Rotating, SharedByName
from gateway.http.client.small_file import OwnFileError


class Disk:
    """What would be read now; an exception is raised."""

    def __init__(self, content: str | Exception) -> None:
        self.content: str | Exception = content
        self.num_reads = 0

    def read(self, known: str | None) -> str | None:
        self.num_reads += 1
        if isinstance(self.content, Exception):
            raise self.content
        return None if self.content == known else self.content


def test_the_first_must_be_good():
    """There is none to fall back to."""
    with pytest.raises(OwnFileError):
        Rotating(Disk(OwnFileError("f: is empty")).read, "files")


async def test_the_last_that_was_good_stays(caplog):
    """What is wrong is told once, until it is something else, and forgotten when all is well."""
    caplog.set_level(logging.INFO)
    disk = Disk("one")
    rotating = Rotating(disk.read, "files", interval_s=0)
    for content in (
        OwnFileError("f: gone"),
        OwnFileError("f: gone"),
        OwnFileError("f: cut"),
        "one",
        "two",
        "two",
    ):
        disk.content = content
        await rotating.refresh()
        problem = str(content) if isinstance(content, Exception) else ""
        assert rotating.problem == problem
        assert problem in repr(rotating)

    assert (rotating.value, rotating.generation) == ("two", 1)
    assert len([each for each in caplog.messages if "f: gone" in each]) == 1
    assert len([each for each in caplog.messages if "are good" in each]) == 2


async def test_it_is_read_once_for_all_and_not_all_the_time():
    """However many ask, and although one of them leaves."""
    disk = Disk("one")
    rotating = Rotating(disk.read, "files", interval_s=3600)
    disk.content = "two"
    asked = [asyncio.create_task(rotating.refresh()) for _ in range(5)]
    await asyncio.sleep(0)
    asked[0].cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await rotating.refresh()
    assert (rotating.value, disk.num_reads) == ("two", 2)


def test_what_is_shared_is_made_once():
    """By whichever thread comes first; and made anew when nobody wanted it meanwhile."""
    made = []

    def make(name: str) -> list[str]:
        made.append(name)
        return [name]

    shared = SharedByName(make)
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(shared.get("a"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each is found[0] for each in found)
    shared.get("b")
    shared.keep(frozenset({"b"}))
    assert (len(shared), made) == (1, ["a", "b"])
    assert shared.get("a") is not found[0]
