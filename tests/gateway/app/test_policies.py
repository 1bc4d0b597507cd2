"""Policy reload: the last good one stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.app.certificates import Certificates, Unusable
from gateway.app.generation import Generation, InForce
from gateway.app.loading import Contents, Loaded, Sources
from gateway.app.policies import WATCH_S, Policies
from gateway.config.document import ConfigError
from gateway.core.clock import LoopClock
from gateway.core.telemetry import PolicyLoaded
from gateway.http.server.tls import Tls, TlsSettings
from tests.fakes.certificates import Authority
from tests.fakes.service import ScriptedService
from tests.fakes.stack import stack
from tests.fakes.telemetry import RecordingTelemetry
from tests.gateway.policies import GOOD, write_policy

NEXT = GOOD.replace("generation: 1", "generation: 2")


class RecordingBuilder:
    """Remembers what it built of, and what replaced what; ``broken`` makes building fail."""

    def __init__(self) -> None:
        self.loaded: list[Loaded] = []
        self.swaps: list[tuple[int, int]] = []
        self.broken = False
        self.prebuilt: list[int] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def prebuild(self, loaded: Loaded) -> Loaded:
        await asyncio.sleep(0)
        self.prebuilt.append(loaded.policy.generation)
        self.meanwhile()
        return loaded

    def let_go(self, loaded: Loaded) -> None:
        self.prebuilt.remove(loaded.policy.generation)

    def build(self, loaded: Loaded) -> Generation:
        if self.broken:
            raise KeyError("a bug while building")
        self.loaded.append(loaded)
        return Generation(
            loaded.policy.generation, stack(service=ScriptedService()), policy=loaded.policy, text=loaded.text
        )

    def after_swap(self, old: Generation, new: Generation) -> None:
        self.swaps.append((old.number, new.number))


class SteppedClock(LoopClock):
    """Sleeps until ``step`` is called; ``slept`` gets the seconds of each sleep that begins."""

    def __init__(self) -> None:
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._turn = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.put_nowait(seconds)
        await self._turn.acquire()

    async def step(self) -> None:
        self._turn.release()
        await self.slept.get()


@dataclass(frozen=True)
class CountedSources(Sources):
    """Sources that keep which texts were loaded."""

    reads: list[bytes] = field(default_factory=list)

    def load(
        self, contents: Contents, models: Iterable[str], *, forget: bool = False, serves: bool = False
    ) -> Loaded:
        self.reads.append(contents.text)
        return super().load(contents, models, forget=forget, serves=serves)


class Fixture:
    """Policies over a file, ``committed`` lists what came into force."""

    def __init__(self, folder: Path, *, region: str = "here", tls: Tls | None = None) -> None:
        self.folder, self.telemetry = folder, RecordingTelemetry()
        self.builder, self.in_force, self.clock = RecordingBuilder(), InForce(), SteppedClock()
        self.sources = CountedSources(write_policy(folder), region, tls=tls)
        self.policies = Policies(
            self.sources,
            self.builder,
            self.in_force,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    @property
    def committed(self) -> list[int]:
        return [number for _, number in self.builder.swaps]

    @property
    def error(self) -> str:
        return str(self.policies.report()["error"])

    async def step(self) -> None:
        """Let the watch look twice: it takes what both looks have found."""
        await self.clock.step()
        await self.clock.step()

    def write(self, text: str) -> None:
        write_policy(self.folder, text)


@pytest.fixture
async def fixture(tmp_path: Path) -> Fixture:
    """A good policy, in force."""
    made = Fixture(tmp_path)
    await made.policies.start()
    return made


async def test_first_policy_must_be_good(tmp_path: Path) -> None:
    """There is nothing to fall back to at the start."""
    made = Fixture(tmp_path)
    made.write("generation: none\n")

    with pytest.raises(ConfigError):
        await made.policies.start()
    assert repr(made.policies) == "<Policies generation 0>"


async def test_higher_generation_comes_into_force(fixture: Fixture) -> None:
    """A good new policy is built, put in force and reported."""
    fixture.write(NEXT)

    assert await fixture.policies.reload()

    assert fixture.in_force.current().number == 2
    assert fixture.committed == [1, 2]
    assert fixture.telemetry.of(PolicyLoaded) == [
        PolicyLoaded(1, "", ("digits",)),
        PolicyLoaded(2, "", ("digits",)),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NEXT.replace("regions: [there]", "regions: [nowhere]"), "EW102"),
        (NEXT.replace("tenants:", "tenant:"), "unknown field"),
        ("{", "is not YAML"),
        (GOOD + "# changed\n", "generation 1 is not above the 1 in force"),
        (GOOD.replace("generation: 1", "generation: 0"), "generation"),
    ],
)
async def test_bad_policy_leaves_the_last_good_one(fixture: Fixture, text: str, message: str) -> None:
    """Whatever is wrong, nothing changes but the report, and the report says what."""
    fixture.write(text)

    assert not await fixture.policies.reload()

    assert fixture.in_force.current().number == 1
    assert fixture.committed == [1]
    assert message in fixture.error
    assert fixture.telemetry.of(PolicyLoaded)[-1].error
    assert repr(fixture.policies) == "<Policies generation 1, last load failed>"


async def test_bug_while_building_leaves_the_last_good_one(fixture: Fixture) -> None:
    """Even an unforeseen error does not stop the gateway."""
    fixture.builder.broken = True
    fixture.write(NEXT)

    assert not await fixture.policies.reload()
    assert fixture.in_force.current().number == 1
    assert "a bug while building" in fixture.error


async def test_same_content_clears_the_error(fixture: Fixture, caplog: pytest.LogCaptureFixture) -> None:
    """Taking a bad change back ends the complaint: in health, metrics and log, once."""
    caplog.set_level("INFO", "edgeway.policy")
    fixture.write("{")
    assert not await fixture.policies.reload(everything=False)

    fixture.write(GOOD)

    assert await fixture.policies.reload(everything=False)
    assert fixture.policies.report() == {
        "generation": 1,
        "file": str(fixture.folder / "policy.yaml"),
        "error": "",
    }
    assert fixture.committed == [1]
    assert await fixture.policies.reload(everything=False)
    assert [event.error == "" for event in fixture.telemetry.of(PolicyLoaded)] == [True, False, True]
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "the policy was not taken, generation 1 stays",
        "the policy file is again that of generation 1, which is in force",
    ]


@pytest.mark.parametrize("num_lines", [-1, -2, -3])
async def test_file_that_is_being_written_is_looked_at_again(fixture: Fixture, num_lines: int) -> None:
    """A part of it may be a policy, within a line or at the end of one; the generation names the whole."""
    step, watch = fixture.clock.step, asyncio.create_task(fixture.policies.watch())
    await fixture.clock.slept.get()
    lines = NEXT.splitlines(keepends=True)
    for part in ("".join(lines[:num_lines]), "".join(lines)[:-1]):
        fixture.write(part)
        await step()
        assert (fixture.committed, fixture.error) == ([1], ""), "neither taken nor refused"
    fixture.write(NEXT)
    await step()
    assert fixture.committed == [1]
    await step()
    assert (fixture.committed, fixture.error) == ([1, 2], "")
    assert fixture.in_force.current().text == NEXT.encode()
    (fixture.folder / "policy.yaml").write_bytes(NEXT.replace("generation: 2", "generation: 3").encode()[:-1])
    await step()
    await step()
    assert fixture.committed == [1, 2, 3], "so it was meant"

    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch


async def test_same_content_is_built_anew_at_sighup(fixture: Fixture) -> None:
    """SIGHUP also takes what is read along with a policy, such as new certificates."""
    assert await fixture.policies.reload()

    assert fixture.committed == [1, 1]
    assert fixture.in_force.current().number == 1


async def test_changed_file_is_taken_within_a_second(fixture: Fixture) -> None:
    """The watch notices content, and a file that is missing for a moment changes nothing."""
    step, watch = fixture.step, asyncio.create_task(fixture.policies.watch())
    assert await fixture.clock.slept.get() == WATCH_S
    assert 2 * WATCH_S <= 1, "two looks"
    await step()
    assert fixture.committed == [1]
    (fixture.folder / "policy.yaml").unlink()
    await fixture.clock.step()
    assert fixture.error == "", "it may be in the middle of being replaced"
    await fixture.clock.step()
    assert "cannot be read" in fixture.error
    (fixture.folder / "policy.yaml").mkdir()
    await step()
    assert "Is a directory" in fixture.error, "another reason"
    (fixture.folder / "policy.yaml").rmdir()
    fixture.write(GOOD)
    await step()
    assert fixture.error == "", "it is back, unchanged"
    fixture.write(NEXT)
    await step()
    assert fixture.committed == [1, 2]
    fixture.write("{")
    await step()
    await step()
    assert len(fixture.telemetry.of(PolicyLoaded)) == 6, "one complaint for one bad content"
    fixture.write(NEXT)
    await step()
    assert fixture.error == ""

    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch


async def test_request_keeps_the_generation_with_which_it_began(fixture: Fixture) -> None:
    """A reload in the middle of a request changes nothing for that request."""
    began = fixture.in_force.current()

    fixture.write(NEXT)
    await fixture.policies.reload()

    assert (began.number, fixture.in_force.current().number) == (1, 2)


async def test_a_failed_sighup_is_owed(fixture: Fixture) -> None:
    """What an operator wanted taken is taken as soon as the policy is good again, by the watch."""
    fixture.write("{")
    await fixture.policies.reload()
    watch = asyncio.create_task(fixture.policies.watch())
    assert await fixture.clock.slept.get() == WATCH_S

    fixture.write(GOOD)
    await fixture.step()

    assert [loaded.forget for loaded in fixture.builder.loaded] == [False, True]
    assert fixture.error == ""
    fixture.write(NEXT)
    await fixture.step()
    assert [loaded.forget for loaded in fixture.builder.loaded] == [False, True, False]
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_other_models_get_other_stacks_of_the_policy_in_force(fixture: Fixture) -> None:
    """Whatever is on disk by now; what cannot be built changes nothing."""
    certificates: Certificates = {"digits": Unusable("missing")}
    fixture.write("{")

    fixture.policies.rebuild(certificates)

    assert fixture.committed == [1, 1]
    assert fixture.builder.loaded[-1].certificates is certificates
    assert fixture.builder.loaded[-1].text == GOOD.encode()
    fixture.builder.broken = True
    before = fixture.in_force.current()
    with pytest.raises(KeyError):
        fixture.policies.rebuild(certificates)
    assert fixture.in_force.current() is before


@pytest.fixture
async def with_tls(tmp_path: Path):
    """A policy in force behind TLS, and two certificates, the first of which is installed."""
    ca = Authority(tmp_path)
    first, second = ca.issue("localhost"), ca.issue("localhost")
    tls = Tls(TlsSettings(certificate=str(first.certificate), key=str(first.key)))
    made = Fixture(tmp_path, tls=tls)
    await made.policies.start()
    return made, tls, first, second


async def test_tls_certificates_do_not_wait_for_a_bad_policy(with_tls, caplog) -> None:
    """They may be about to expire. The policy stays owed, and comes into force once it is mended."""
    caplog.set_level("INFO", "edgeway")
    fixture, tls, first, second = with_tls
    context = tls.context
    first.certificate.write_bytes(second.certificate.read_bytes())
    first.key.write_bytes(second.key.read_bytes())

    fixture.write("{")
    assert not await fixture.policies.reload()
    assert tls.context is not context
    assert "new TLS certificates are in use" in caplog.text
    assert fixture.in_force.current().number == 1
    fixture.write(NEXT)
    assert await fixture.policies.reload(everything=False)

    assert fixture.in_force.current().number == 2
    assert [loaded.forget for loaded in fixture.builder.loaded] == [False, True]


async def test_a_policy_does_not_wait_for_bad_tls_certificates(with_tls, caplog) -> None:
    """The report and the log say that those in use stay; it is no refusal of the policy."""
    fixture, tls, first, second = with_tls
    context = tls.context
    first.certificate.write_bytes(second.certificate.read_bytes())
    fixture.write(NEXT)

    assert not await fixture.policies.reload()

    assert (fixture.in_force.current().number, tls.context) == (2, context)
    assert "cannot be used" in fixture.error
    assert fixture.telemetry.of(PolicyLoaded)[-1].error == ""
    assert "the TLS certificates were not taken, the old ones stay: " in caplog.text
    first.key.write_bytes(second.key.read_bytes())
    assert await fixture.policies.reload()
    assert (fixture.error, tls.context is context) == ("", False)


async def test_certificates_of_another_model_are_not_overwritten_by_older_ones(with_tls) -> None:
    """A model that comes into force while files are read has certificates of its own: they are read again."""
    fixture, *_ = with_tls
    fixture.write(NEXT)
    reload = asyncio.create_task(fixture.policies.reload())
    await asyncio.sleep(0)

    fixture.policies.rebuild({})
    await reload

    assert fixture.in_force.current().number == 2
    assert fixture.sources.reads.count(NEXT.encode()) == 2


async def test_a_model_that_comes_into_force_while_it_is_built(with_tls) -> None:
    """What was built of the older certificates is let go."""
    fixture, *_ = with_tls
    fixture.write(NEXT)

    def once() -> None:
        fixture.builder.meanwhile = lambda: None
        fixture.policies.rebuild({})

    fixture.builder.meanwhile = once
    await fixture.policies.reload()

    assert fixture.in_force.current().number == 2
    assert fixture.sources.reads.count(NEXT.encode()) == 2
    assert fixture.builder.prebuilt.count(2) == 1


async def test_nothing_is_built_for_a_generation_that_is_refused(fixture: Fixture) -> None:
    """Its number is looked at first."""
    fixture.write(GOOD.replace("NA", "NA, SA"))

    assert not await fixture.policies.reload()

    assert "raise it" in fixture.error
    assert fixture.builder.prebuilt == [1]


@pytest.fixture
async def watching(with_tls) -> AsyncIterator[None]:
    """The watch of that process runs and waits."""
    fixture, *_ = with_tls
    watch = asyncio.create_task(fixture.policies.watch())
    assert await fixture.clock.slept.get() == WATCH_S
    yield
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


@pytest.mark.usefixtures("watching")
async def test_a_policy_does_not_wait_for_tls_files_that_are_broken(with_tls, caplog) -> None:
    """A policy that comes after the SIGHUP comes into force; TLS stays owed, and the error in sight."""
    fixture, tls, first, second = with_tls
    context, step = tls.context, fixture.step
    first.certificate.write_bytes(second.certificate.read_bytes())
    assert not await fixture.policies.reload()
    reason = fixture.error

    fixture.write(NEXT)
    await step()

    assert (fixture.in_force.current().number, tls.context) == (2, context)
    assert fixture.error == reason
    assert [loaded.forget for loaded in fixture.builder.loaded] == [False, True, False]
    assert "the TLS certificates were not taken, the old ones stay: " in caplog.text
    fixture.write("{\n")
    await step()
    assert fixture.error.endswith(f"; {reason}"), "both"
    fixture.write(NEXT.replace("generation: 2", "generation: 3"))
    await step()
    assert (fixture.in_force.current().number, fixture.error) == (3, reason)

    first.key.write_bytes(second.key.read_bytes())
    await step()

    assert tls.context is not context
    assert (fixture.error, fixture.committed) == ("", [1, 1, 2, 3]), "TLS files alone build nothing"


@pytest.mark.usefixtures("watching")
async def test_tls_files_that_are_mended_end_what_is_owed(with_tls, caplog) -> None:
    """The watch tries again when a file changes, and does not repeat itself meanwhile."""
    fixture, tls, first, second = with_tls
    context, step = tls.context, fixture.step
    first.certificate.write_text("half written")
    fixture.write(NEXT)
    assert not await fixture.policies.reload()

    await step()
    await step()
    first.certificate.write_text("another half")
    await step()
    assert (fixture.in_force.current().number, tls.context) == (2, context)
    assert caplog.text.count("not taken") == 1, "for the same reason"
    first.certificate.write_bytes(second.certificate.read_bytes())
    first.key.write_bytes(second.key.read_bytes())
    await step()

    assert (fixture.in_force.current().number, fixture.error) == (2, "")
    assert tls.context is not context
    first.certificate.write_text("not at SIGHUP")
    await step()
    assert (fixture.committed, fixture.error) == ([1, 2], ""), "TLS files alone are taken at SIGHUP"


async def test_a_changed_policy_does_not_read_tls_certificates(with_tls) -> None:
    """They are taken at SIGHUP: a pair that is being replaced does not stop a new policy."""
    fixture, tls, first, _second = with_tls
    context = tls.context
    first.certificate.write_text("half written")
    fixture.write(NEXT)

    assert await fixture.policies.reload(everything=False)

    assert (fixture.in_force.current().number, tls.context) == (2, context)


@pytest.mark.parametrize("region", ["here", "nowhere"])
async def test_a_policy_that_does_not_know_this_region_is_not_taken(tmp_path: Path, region: str) -> None:
    """It is good for others, perhaps; the complaint names the line where the region is missing."""
    made = Fixture(tmp_path, region=region)

    if region == "here":
        await made.policies.start()
    else:
        with pytest.raises(ConfigError, match="has no region 'nowhere', which this gateway is") as caught:
            await made.policies.start()
        assert caught.value.line == 2
