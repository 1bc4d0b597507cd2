"""Models that are loaded and unloaded while the edge serves: what answers, and under which certificate."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from edge_models.samples import digits
from gateway.core.catalog import IndexEntry
from gateway.core.errors import Fault, GatewayError
from tests.scenarios.world import CONFIDENT, PIXELS, UNSURE, World, until


@pytest.fixture
async def world(tmp_path: Path):
    """A world whose edge has a repository that the test may change."""
    folder = tmp_path / "models"
    shutil.copytree(digits.EDGE_REPOSITORY, folder)
    async with World(tmp_path, repository=folder) as made:
        yield made


def put(world: World, content: bytes) -> None:
    (world.folder / "models" / "digits" / "1" / "model.onnx").write_bytes(content)


async def origin(world: World, image: int = CONFIDENT) -> tuple[str, bool]:
    source = (await world.ask(image)).provenance
    return source.origin, source.certified


async def test_unloaded_model_leaves_everything_to_central(world: World) -> None:
    """No answer of the edge's is given any more, none that was kept either; loaded again, it answers again."""
    repository = world.edge.tier.repository
    assert await origin(world) == ("edge", True)

    await repository.unload("digits")

    assert await origin(world) == ("central", True)
    assert repository.index() == [IndexEntry("digits", "1", "UNAVAILABLE", "unloaded")]

    await repository.load("digits", {})
    assert await origin(world, CONFIDENT) == ("edge", True)
    assert await origin(world, UNSURE) == ("central", True)


async def test_changed_file_has_no_licence(world: World) -> None:
    """A certificate names the file that it is for: another one answers nothing by itself until it has its own."""
    repository = world.edge.tier.repository
    original = digits.model_path(digits.EDGE_REPOSITORY).read_bytes()
    assert await origin(world) == ("edge", True)

    put(world, digits.model_path(digits.CENTRAL_REPOSITORY).read_bytes())
    await repository.load("digits", {})
    assert await origin(world) == ("central", True)
    assert world.metric('edgeway_certificates_refused_total{field="edge_digest",model="digits"}') == 1
    await world.stop_central()
    assert await origin(world, CONFIDENT + 1) == ("edge", False)

    put(world, original)
    await repository.load("digits", {})
    assert await origin(world) == ("edge", True)


async def test_corrupt_file_is_refused(world: World) -> None:
    """The model that was loaded before serves on, under its certificate."""
    repository = world.edge.tier.repository
    put(world, b"nonsense")

    with pytest.raises(GatewayError, match="failed to load 'digits'") as refused:
        await repository.load("digits", {})

    assert refused.value.fault is Fault.INVALID
    assert await origin(world) == ("edge", True)


async def test_broken_policy_on_disk_does_not_matter(world: World) -> None:
    """The stacks are those of the policy in force."""
    repository = world.edge.tier.repository
    (world.folder / "policy.yaml").write_text("nonsense: [")

    await repository.unload("digits")

    assert await origin(world) == ("central", True)


async def test_models_change_under_load(world: World) -> None:
    """Whichever tier answers, every request is answered."""
    repository = world.edge.tier.repository
    is_over = False
    origins: list[str] = []

    async def client(image: int) -> None:
        while not is_over:
            # Few are sent twice: answers from the cache would not notice.
            image = (image + 4) % len(PIXELS)
            origins.append((await world.ask(image)).provenance.origin)
            await asyncio.sleep(0)

    async def answered(origin: str) -> None:
        """Wait until a request that begins now was answered by ``origin``."""
        before = len(origins)
        await until(lambda: origin in origins[before:])

    async with asyncio.TaskGroup() as group:
        for place in range(4):
            group.create_task(client(place))
        for _ in range(5):
            await answered("edge")
            await repository.unload("digits")
            await answered("central")
            await repository.load("digits", {})
        is_over = True

    assert set(origins) == {"edge", "central"}
