"""Assembly of an edge gateway."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge_models.certificate import save_certificate
from gateway.app.edge import open_edge
from gateway.app.foundation import Foundation, open_foundation
from gateway.app.tier import Tier
from gateway.config.document import ConfigError
from gateway.core.catalog import IndexEntry
from gateway.core.errors import GatewayError
from gateway.core.request import Caller
from routing.geo import GeoError
from tests.gateway.app.processes import EDGE, settings
from tests.gateway.policies import CENTRAL_DIGEST, GOOD, write_policy
from tests.scenarios.world import CONFIDENT, certificate, picture

MODELS = next(line for line in EDGE.splitlines() if line.startswith("models:"))
CERTIFIED = GOOD.replace(CENTRAL_DIGEST, certificate().central_digest)


@pytest.fixture
def lifetimes():
    """What is opened is closed in the test itself."""
    return AsyncExitStack()


async def opened(
    lifetimes: AsyncExitStack, folder: Path, text: str = EDGE, policy: str = CERTIFIED
) -> tuple[Foundation, Tier]:
    foundation = open_foundation(settings(folder, text, policy), lifetimes)
    return foundation, await open_edge(foundation, lifetimes)


async def test_its_policy_is_in_force(lifetimes: AsyncExitStack, tmp_path: Path) -> None:
    """It answers, knows its models, and reports what it depends on."""
    async with lifetimes:
        foundation, tier = await opened(lifetimes, tmp_path)

        response = await foundation.in_force.current()(picture(CONFIDENT))

        assert (response.provenance.origin, response.provenance.certified) == ("edge", False)
        assert (await tier.catalogs.of(Caller()).describe("digits", "")).name == "digits"
        assert tier.policy_report() == {"generation": 1, "file": str(tmp_path / "policy.yaml"), "error": ""}
        assert list(tier.health) == ["endpoints", "certificates", "models"]
        assert tier.health["endpoints"]()["central"]["state"] == "closed"
        assert tier.health["certificates"]()["digits"]["reason"] == "missing"


async def test_a_reload_takes_certificates_with_the_policy(lifetimes: AsyncExitStack, tmp_path: Path) -> None:
    """A bad policy takes neither; the next good one takes both."""
    async with lifetimes:
        foundation, tier = await opened(lifetimes, tmp_path)
        (tmp_path / "certificates").mkdir()
        save_certificate(tmp_path / "certificates" / "digits.json", certificate())
        before = foundation.in_force.current()

        write_policy(tmp_path, "{")
        await tier.reload()
        assert foundation.in_force.current() is before
        assert not tier.health["certificates"]()["digits"]["valid"]
        assert "is not YAML" in tier.policy_report()["error"]

        write_policy(tmp_path, CERTIFIED)
        await tier.reload()
        assert tier.health["certificates"]() == {"digits": {"valid": True}}
        assert (await foundation.in_force.current()(picture(CONFIDENT))).provenance.certified


async def test_a_model_that_is_loaded_brings_its_certificate(
    lifetimes: AsyncExitStack, tmp_path: Path
) -> None:
    """Without a reload: it is read in the loading thread, and in force when the model answers."""
    async with lifetimes:
        foundation, tier = await opened(lifetimes, tmp_path)
        (tmp_path / "certificates").mkdir()
        save_certificate(tmp_path / "certificates" / "digits.json", certificate())

        await tier.repository.unload("digits")
        assert foundation.in_force.edge_models().by_route == {}
        await tier.repository.load("digits", {})

        assert tier.health["certificates"]() == {"digits": {"valid": True}}
        assert tier.repository.settings("digits").is_cached


async def test_without_models(lifetimes: AsyncExitStack, tmp_path: Path) -> None:
    """It forwards, has no certificates to report, and nothing to load."""
    async with lifetimes:
        _, tier = await opened(lifetimes, tmp_path, EDGE.replace(MODELS, ""))

        assert list(tier.health) == ["endpoints"]
        assert tier.repository.index() == ()
        with pytest.raises(GatewayError):
            await tier.repository.load("digits", {})


async def test_the_file_is_watched(lifetimes: AsyncExitStack, tmp_path: Path) -> None:
    """A changed policy comes into force by itself; the watch ends before what it needs is closed."""
    async with lifetimes:
        foundation, tier = await opened(lifetimes, tmp_path)
        assert tier.repository.index() == [IndexEntry("digits", "1", "READY")]

        write_policy(tmp_path, CERTIFIED.replace("generation: 1", "generation: 2"))
        async with asyncio.timeout(30):
            while foundation.in_force.current().number < 2:
                await asyncio.sleep(0.02)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("text", "policy", "error"),
    [
        (EDGE, "{", ConfigError),
        (EDGE + "geo: {database: absent.mmdb}\n", CERTIFIED, GeoError),
    ],
)
async def test_what_cannot_be_used_ends_the_start(
    lifetimes: AsyncExitStack, tmp_path: Path, text: str, policy: str, error: type[Exception]
) -> None:
    """Whatever was opened until then is closed."""
    async with lifetimes:
        with pytest.raises(error):
            await opened(lifetimes, tmp_path, text, policy)
    assert asyncio.all_tasks() == {asyncio.current_task()}
