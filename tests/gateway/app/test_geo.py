"""The geo database of an edge gateway, replaced while requests go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app.geo import OLD_DAYS, GeoDatabase
from gateway.core.telemetry import GeoLoaded
from routing.geo import GeoError
from routing.place import Place
from tests.fakes.telemetry import RecordingTelemetry
from tests.gateway.app.test_policies import SteppedClock
from tests.routing.mmdb import mmdb

BUILT = 1_700_000_000
DAY_S = 86_400
ADDRESS = "1.2.3.4"
ASNS = mmdb({"asn": 5}, {"asn": 5}, kind="GeoLite2-ASN", build_epoch=BUILT + 10)


def database(country: str, *, days: float = 0) -> bytes:
    record = {"country_code": country}
    return mmdb(record, record, build_epoch=int(BUILT + days * DAY_S))


class Clock(SteppedClock):
    """A watch that looks when it is told to, on a day that the test chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.today = 1.0

    def wall(self) -> float:
        return BUILT + self.today * DAY_S


class Fixture:
    """A database over a file, watched."""

    def __init__(self, folder: Path, max_age_days: int | None = None) -> None:
        self.file = folder / "geo.mmdb"
        self.clock, self.telemetry = Clock(), RecordingTelemetry()
        if not self.file.exists():
            self.file.write_bytes(database("FR"))
        self.geo = GeoDatabase(
            self.file, "geo.mmdb", max_age_days, clock=self.clock, telemetry=self.telemetry
        )
        self.taken: list[str] = []
        # Held from the start, as the stacks of a policy hold it.
        self.locate = self.geo.places.locate

    @property
    def country(self) -> str:
        place = self.locate(ADDRESS)
        return place.country if place else ""

    @property
    def error(self) -> str:
        return str(self.geo.report()["error"])

    def replace(self, content: bytes) -> None:
        """As a good installer does: a new file, renamed."""
        new = self.file.with_suffix(".new")
        new.write_bytes(content)
        new.rename(self.file)

    def take(self) -> None:
        self.taken.append(self.country)

    async def looks(self, times: int = 2) -> None:
        for _ in range(times):
            await self.clock.step()


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncIterator[Fixture]:
    made = Fixture(tmp_path)
    watch = asyncio.create_task(made.geo.watch(made.take))
    await made.clock.slept.get()
    yield made
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_a_new_file_is_taken_when_it_stands_still(fixture: Fixture) -> None:
    """Renamed into place or written over in place; nobody who holds ``locate`` has to ask for another."""
    assert fixture.country == "FR"
    fixture.replace(database("DE", days=0.1))
    await fixture.looks(1)
    assert fixture.country == "FR"
    await fixture.looks(1)
    assert fixture.country == "DE"

    fixture.file.write_bytes(database("SE", days=0.2))
    await fixture.looks()

    assert (fixture.country, fixture.error) == ("SE", "")
    assert fixture.taken == ["DE", "SE"]
    built = [int(BUILT + days * DAY_S) for days in (0, 0.1, 0.2)]
    assert fixture.telemetry.of(GeoLoaded) == [GeoLoaded(each, "", "geo.mmdb") for each in built]


async def test_a_file_that_keeps_changing_is_waited_for(fixture: Fixture) -> None:
    """A download that takes its time is not read before it has ended."""
    content = database("DE", days=0.1)
    for end in range(0, len(content), 40):
        fixture.file.write_bytes(content[:end])
        await fixture.looks(1)
    assert (fixture.country, fixture.error) == ("FR", "")
    assert len(fixture.telemetry.of(GeoLoaded)) == 1

    fixture.file.write_bytes(content)
    await fixture.looks()

    assert fixture.country == "DE"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a sound MaxMind DB file"),
        (b"text\n" * 1000, "is not a sound MaxMind DB file"),
        (database("DE", days=0.1)[:-60], "is not a sound MaxMind DB file"),
        (database("DE", days=0.1)[20:], "is not a sound MaxMind DB file"),
        (
            mmdb({"x": "y"}, {"x": "y"}, build_epoch=BUILT + 10),
            "is a database of 'Test-Country', with neither countries nor ASNs: what is read",
        ),
        (ASNS, "without the countries of 'Test-Country', which is in use; SIGHUP takes it all the same"),
        (database("DE", days=-1), "was built before the one in use"),
        (database("DE", days=300), "built in the future"),
        (None, "cannot be read: No such file"),
    ],
    ids=["empty", "text", "no end", "no beginning", "of nothing", "of ASNs", "older", "future", "gone"],
)
async def test_a_bad_one_leaves_the_old(
    fixture: Fixture, caplog: pytest.LogCaptureFixture, content: bytes | None, why: str
) -> None:
    """The error is in the report, the metrics and once in the log, until a good one comes."""
    if content is None:
        fixture.file.unlink()
    else:
        fixture.replace(content)

    await fixture.looks(5)

    assert fixture.country == "FR"
    assert why in fixture.error
    assert str(fixture.file) not in fixture.error
    (_, failure) = fixture.telemetry.of(GeoLoaded)
    assert (failure.build_epoch, failure.error) == (BUILT, fixture.error)
    assert sum("stays in use" in record.getMessage() for record in caplog.records) == 1

    if content is not None:
        fixture.replace(content)
        await fixture.looks()
        assert len(fixture.telemetry.of(GeoLoaded)) == 3
        assert sum("stays in use" in record.getMessage() for record in caplog.records) == 1
    fixture.replace(database("SE", days=0.5))
    await fixture.looks()
    assert (fixture.country, fixture.error) == ("SE", "")


@pytest.mark.parametrize("what", ["fifo", "device", "folder"])
async def test_what_is_no_file_is_refused_at_once(fixture: Fixture, what: str) -> None:
    """Nothing waits for a writer that never comes, or reads without an end."""
    fixture.file.unlink()
    match what:
        case "fifo":
            os.mkfifo(fixture.file)
        case "device":
            fixture.file.symlink_to("/dev/zero")
        case _:
            fixture.file.mkdir()

    async with asyncio.timeout(10):
        await fixture.looks()

    assert (fixture.country, fixture.error) == ("FR", "is not a regular file")


async def test_an_older_one_is_taken_when_the_operator_says_so(fixture: Fixture) -> None:
    """SIGHUP takes what is there, and what is bad still changes nothing."""
    fixture.replace(database("DE", days=-5))
    await fixture.looks()
    assert fixture.country == "FR"

    await fixture.geo.reload(fixture.take)
    assert (fixture.country, fixture.error) == ("DE", "")
    assert fixture.geo.report()["built"] == "2023-11-09"

    fixture.replace(b"")
    await fixture.geo.reload(fixture.take)
    assert (fixture.country, fixture.taken) == ("DE", ["DE"])
    assert "not a sound" in fixture.error

    fixture.replace(ASNS)
    await fixture.geo.reload(fixture.take)
    assert fixture.locate(ADDRESS) == Place(asn=5)


async def test_one_of_the_future_keeps_nobody_out(tmp_path: Path) -> None:
    """A start takes it, for our own clock may be behind; then any that is of today replaces it."""
    (tmp_path / "geo.mmdb").write_bytes(database("DE", days=3000))
    fixture = Fixture(tmp_path)
    watch = asyncio.create_task(fixture.geo.watch(fixture.take))
    await fixture.clock.slept.get()
    fixture.replace(database("SE", days=0.5))

    await fixture.looks()

    assert fixture.country == "SE"
    watch.cancel()


@pytest.mark.parametrize(("max_age_days", "allowed"), [(None, OLD_DAYS), (3, 3)])
async def test_its_age_is_watched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, max_age_days: int | None, allowed: int
) -> None:
    """A warning once a day while it is too old, and the report says so; it goes on answering."""
    fixture = Fixture(tmp_path, max_age_days)
    watch = asyncio.create_task(fixture.geo.watch(fixture.take))
    await fixture.clock.slept.get()
    warnings = []
    for today in (allowed, allowed + 1.5, allowed + 1.6, allowed + 2.6):
        fixture.clock.today = today
        await fixture.looks(3)
        warnings.append(sum("days old" in record.getMessage() for record in caplog.records))

    assert warnings == [0, 1, 1, 2]
    assert fixture.geo.report() == {
        "kind": "Test-Country",
        "knows": ["countries"],
        "built": "2023-11-14",
        "age_days": allowed + 2,
        "is_old": True,
        "error": "",
    }
    assert fixture.country == "FR"
    fixture.replace(database("SE", days=allowed + 2))
    await fixture.looks()
    assert not fixture.geo.report()["is_old"]
    watch.cancel()


async def test_a_start_refuses_what_cannot_be_used(tmp_path: Path) -> None:
    """There is none to fall back to."""
    file = tmp_path / "geo.mmdb"
    file.write_bytes(database("FR", days=-9))
    with pytest.raises(GeoError, match=r"is 10 days old, and 3 are allowed"):
        Fixture(tmp_path, 3)
    file.write_bytes(b"")
    with pytest.raises(GeoError, match=r"geo\.mmdb: is not a sound"):
        Fixture(tmp_path)


async def test_repr_shows_state(fixture: Fixture) -> None:
    """The file's name, the build, and whether the last load failed."""
    fixture.locate(ADDRESS)
    fixture.replace(b"")
    await fixture.looks()

    assert repr(fixture.geo) == (
        "<GeoDatabase <Places geo.mmdb, 1 addresses remembered>, built 2023-11-14, last load failed>"
    )
    assert fixture.locate(ADDRESS) == Place("FR", "EU")
