"""Several geo databases of an edge gateway, each replaced by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app.geo_databases import GeoDatabases
from gateway.core.telemetry import GeoLoaded
from routing.geo import GeoError
from routing.geo_records import ASN, COUNTRY
from routing.place import Place
from routing.settings import GeoSettings
from tests.fakes.telemetry import RecordingTelemetry
from tests.gateway.app.test_geo import ADDRESS, BUILT, DAY_S, Clock, database
from tests.routing.mmdb import mmdb

REST = "which is in use; SIGHUP takes it all the same"


def numbers(asn: int, *, days: float = 0) -> bytes:
    record = {"autonomous_system_number": asn}
    return mmdb(record, record, kind="GeoLite2-ASN", build_epoch=int(BUILT + days * DAY_S))


class Fixture:
    """One of places and one of ASNs, watched."""

    def __init__(self, folder: Path) -> None:
        self.places, self.asns = folder / "country.mmdb", folder / "asn.mmdb"
        self.places.write_bytes(database("FR"))
        self.asns.write_bytes(numbers(64500, days=0.5))
        self.clock, self.telemetry = Clock(), RecordingTelemetry()
        self.geo = GeoDatabases(
            GeoSettings(database=(str(self.places), str(self.asns))),
            clock=self.clock,
            telemetry=self.telemetry,
        )
        self.taken: list[Place | None] = []
        # Held from the start, as the stacks of a policy hold it.
        self.locate = self.geo.locate

    @property
    def errors(self) -> list[str]:
        """What is wrong with each."""
        return [each["error"] for each in self.geo.report()["databases"].values()]

    def replace(self, file: Path, content: bytes) -> None:
        new = file.with_suffix(".new")
        new.write_bytes(content)
        new.rename(file)

    def take(self) -> None:
        self.taken.append(self.locate(ADDRESS))

    async def looks(self, times: int = 3) -> None:
        for _ in range(2 * times):
            await self.clock.step()


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncIterator[Fixture]:
    made = Fixture(tmp_path)
    watch = asyncio.create_task(made.geo.watch(made.take))
    for _ in range(2):
        await made.clock.slept.get()
    yield made
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_each_says_what_it_knows(fixture: Fixture) -> None:
    """Together they know all of it; each is in the metrics by its name."""
    assert fixture.locate(ADDRESS) == Place("FR", "EU", (), 64500)
    assert fixture.geo.knows() == {COUNTRY, ASN}
    assert fixture.telemetry.of(GeoLoaded) == [
        GeoLoaded(BUILT, "", "country.mmdb"),
        GeoLoaded(BUILT + DAY_S // 2, "", "asn.mmdb"),
    ]
    assert repr(fixture.geo).startswith("<GeoDatabases <GeoDatabase <Places country.mmdb, ")


async def test_one_is_replaced_and_the_other_stays(fixture: Fixture) -> None:
    """What was remembered of both together is forgotten before the callers are looked up anew."""
    assert fixture.locate(ADDRESS) == Place("FR", "EU", (), 64500)
    fixture.replace(fixture.asns, numbers(64501, days=0.6))
    await fixture.looks()
    assert fixture.taken == [Place("FR", "EU", (), 64501)]

    fixture.places.write_bytes(database("DE", days=0.1))
    await fixture.looks()

    assert fixture.taken[1:] == [Place("DE", "EU", (), 64501)]
    assert fixture.errors == ["", ""]


async def test_files_that_are_swapped_are_both_refused(fixture: Fixture) -> None:
    """A file of the wrong kind is named by its kind; the good ones stay, and SIGHUP takes what is there."""
    fixture.replace(fixture.places, numbers(1, days=0.7))
    fixture.replace(fixture.asns, database("DE", days=0.7))
    await fixture.looks()

    assert fixture.locate(ADDRESS) == Place("FR", "EU", (), 64500)
    assert fixture.errors == [
        f"is a database of 'GeoLite2-ASN', without the countries of 'Test-Country', {REST}",
        f"is a database of 'Test-Country', without the ASNs of 'GeoLite2-ASN', {REST}",
    ]
    assert fixture.geo.report()["error"].startswith("country.mmdb: is a database of")
    assert "; asn.mmdb: is a database of" in fixture.geo.report()["error"]

    await fixture.geo.reload(fixture.take)
    assert fixture.taken[-1] == Place("DE", "EU", (), 1)
    assert fixture.errors == ["", ""]


@pytest.mark.parametrize("content", [b"", b"text" * 99, numbers(1, days=0.7)[:-60], numbers(1, days=-9)])
async def test_a_bad_one_leaves_the_old_and_hinders_no_other(fixture: Fixture, content: bytes) -> None:
    """Empty, text, cut, older: the other is replaced meanwhile."""
    fixture.replace(fixture.asns, content)
    fixture.replace(fixture.places, database("DE", days=0.1))
    await fixture.looks()

    assert fixture.locate(ADDRESS) == Place("DE", "EU", (), 64500)
    assert [bool(error) for error in fixture.errors] == [False, True]


async def test_the_age_is_that_of_the_oldest(fixture: Fixture) -> None:
    """And each tells its own."""
    fixture.clock.today = 32.0
    fixture.replace(fixture.places, database("FR", days=31))
    await fixture.looks()
    report = fixture.geo.report()

    assert (report["built"], report["age_days"], report["is_old"]) == ("2023-11-15", 31, True)
    assert [each["is_old"] for each in report["databases"].values()] == [False, True]
    assert [each["age_days"] for each in report["databases"].values()] == [1, 31]
    assert [each["kind"] for each in report["databases"].values()] == ["Test-Country", "GeoLite2-ASN"]


def test_one_alone_is_asked_itself(tmp_path: Path) -> None:
    """Its errors are told as they are; files of one name in two folders are told by their paths."""
    files = [tmp_path / name / "geo.mmdb" for name in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(database("FR"))

    def names(*paths: Path) -> list[str]:
        settings = GeoSettings(database=tuple(map(str, paths)))
        opened = GeoDatabases(settings, clock=Clock(), telemetry=RecordingTelemetry())
        assert opened.locate(ADDRESS) == Place("FR", "EU")
        return list(opened.report()["databases"])

    assert names(files[0]) == ["geo.mmdb"]
    assert names(*files) == [str(file) for file in files]


def test_a_start_names_the_one_that_cannot_be_used(tmp_path: Path) -> None:
    """There is none to fall back to."""
    (tmp_path / "good.mmdb").write_bytes(database("FR"))
    (tmp_path / "bad.mmdb").write_bytes(b"")
    settings = GeoSettings(database=(str(tmp_path / "good.mmdb"), str(tmp_path / "bad.mmdb")))

    with pytest.raises(GeoError, match=r"bad\.mmdb: is not a sound"):
        GeoDatabases(settings, clock=Clock(), telemetry=RecordingTelemetry())
