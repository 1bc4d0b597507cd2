"""Policy reload: the last good one stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.app.generation import PolicyGeneration
from gateway.app.policies import WATCH_S, Policies
from gateway.config.document import ConfigError
from gateway.core.clock import LoopClock
from gateway.core.telemetry import PolicyLoaded
from routing.policy import Policy
from tests.fakes.service import ScriptedService
from tests.fakes.stack import stack
from tests.fakes.telemetry import RecordingTelemetry
from tests.gateway.policies import GOOD, write_policy

NEXT = GOOD.replace("generation: 1", "generation: 2")


class Fixture:
    """A Policies over a file; ``committed`` lists what came into force; ``broken`` makes building fail."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.telemetry = folder, RecordingTelemetry()
        self.committed: list[int] = []
        self.broken = False
        self.policies = Policies(
            write_policy(folder), self._build, region="here", clock=LoopClock(), telemetry=self.telemetry
        )

    def _build(self, policy: Policy) -> PolicyGeneration:
        if self.broken:
            raise KeyError("a bug while building")
        commit = lambda: self.committed.append(policy.generation)  # noqa: E731
        return PolicyGeneration(policy.generation, stack(service=ScriptedService()), commit=commit)

    def write(self, text: str) -> None:
        write_policy(self.folder, text)


@pytest.fixture
def fixture(tmp_path: Path) -> Fixture:
    """A good policy, in force."""
    made = Fixture(tmp_path)
    made.policies.start()
    return made


def test_first_policy_must_be_good(tmp_path: Path) -> None:
    """There is nothing to fall back to at the start."""
    made = Fixture(tmp_path)
    made.write("generation: none\n")

    with pytest.raises(ConfigError):
        made.policies.start()
    assert repr(made.policies) == "<Policies generation none>"


async def test_higher_generation_comes_into_force(fixture: Fixture) -> None:
    """A good new policy is built, committed and told."""
    fixture.write(NEXT)

    assert await fixture.policies.reload()

    assert fixture.policies.current().number == 2
    assert fixture.committed == [1, 2]
    assert fixture.telemetry.of(PolicyLoaded) == [
        PolicyLoaded(1, "", ("digits",)),
        PolicyLoaded(2, "", ("digits",)),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NEXT.replace("regions: [there]", "regions: [nowhere]"), "EW102"),
        (NEXT.replace("tenants:", "tenant:"), "unknown field"),
        ("{", "is not YAML"),
        (GOOD + "# changed\n", "generation 1 is not above the 1 in force"),
        (GOOD.replace("generation: 1", "generation: 0"), "generation"),
    ],
)
async def test_bad_policy_leaves_the_last_good_one(fixture: Fixture, text: str, says: str) -> None:
    """Whatever is wrong, nothing changes but the report, and the report says what."""
    fixture.write(text)

    assert not await fixture.policies.reload()

    assert fixture.policies.current().number == 1
    assert fixture.committed == [1]
    assert says in fixture.policies.report()["error"]
    assert fixture.telemetry.of(PolicyLoaded)[-1].error
    assert repr(fixture.policies) == "<Policies generation 1, last load failed>"


async def test_bug_while_building_leaves_the_last_good_one(fixture: Fixture) -> None:
    """Even an error that nobody foresaw does not take the gateway down."""
    fixture.broken = True
    fixture.write(NEXT)

    assert not await fixture.policies.reload()
    assert fixture.policies.current().number == 1
    assert "a bug while building" in fixture.policies.report()["error"]


async def test_same_content_clears_the_error(fixture: Fixture) -> None:
    """Taking a bad change back ends the complaint."""
    fixture.write("{")
    await fixture.policies.reload()

    fixture.write(GOOD)

    assert await fixture.policies.reload(rebuild=False)
    assert fixture.policies.report() == {
        "generation": 1,
        "file": str(fixture.folder / "policy.yaml"),
        "error": "",
    }
    assert fixture.committed == [1]


async def test_same_content_is_built_anew_when_asked_to(fixture: Fixture) -> None:
    """SIGHUP also takes what is read along with a policy, such as new certificates."""
    assert await fixture.policies.reload()

    assert fixture.committed == [1, 1]
    assert fixture.policies.current().number == 1


async def test_changed_file_is_taken_within_a_second(fixture: Fixture) -> None:
    """The watch notices content, and a file that is missing for a moment changes nothing."""
    sleeps: asyncio.Queue[float] = asyncio.Queue()
    turn = asyncio.Semaphore(0)

    class Stepped(LoopClock):
        async def sleep(self, seconds: float) -> None:
            sleeps.put_nowait(seconds)
            await turn.acquire()

    fixture.policies._clock = Stepped()
    watch = asyncio.create_task(fixture.policies.watch())

    async def step() -> None:
        turn.release()
        await sleeps.get()

    assert await sleeps.get() == WATCH_S
    await step()
    assert fixture.committed == [1]
    (fixture.folder / "policy.yaml").unlink()
    await step()
    assert fixture.policies.report()["error"] == "", "it may be in the middle of being replaced"
    await step()
    assert "cannot be read" in fixture.policies.report()["error"]
    fixture.write(GOOD)
    await step()
    assert fixture.policies.report()["error"] == "", "it is back, unchanged"
    fixture.write(NEXT)
    await step()
    assert fixture.committed == [1, 2]
    fixture.write("{")
    await step()
    await step()
    assert len(fixture.telemetry.of(PolicyLoaded)) == 4, "one complaint for one bad content"
    fixture.write(NEXT)
    await step()
    assert fixture.policies.report()["error"] == ""

    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch


async def test_request_keeps_the_generation_with_which_it_began(tmp_path: Path) -> None:
    """A reload in the middle of a request changes nothing for that request."""
    made = Fixture(tmp_path)
    made.policies.start()
    began = made.policies.current()

    made.write(NEXT)
    await made.policies.reload()

    assert (began.number, made.policies.current().number) == (1, 2)


@pytest.mark.parametrize("region", ["here", "nowhere"])
async def test_a_policy_that_does_not_know_this_region_is_not_taken(tmp_path: Path, region: str) -> None:
    """It is good for others, perhaps; the complaint names the line where the region is missing."""
    file = write_policy(tmp_path)
    build = Fixture(tmp_path)._build
    made = Policies(file, build, region=region, clock=LoopClock(), telemetry=RecordingTelemetry())

    if region == "here":
        made.start()
    else:
        with pytest.raises(ConfigError, match="has no region 'nowhere', which this gateway is") as caught:
            made.start()
        assert caught.value.line == 2
