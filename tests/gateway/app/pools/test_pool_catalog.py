"""What members tell of models: one is asked, and another one where that cannot be reached."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.app.pools.pool_catalog import PoolCatalog
from gateway.core.errors import Fault, GatewayError
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, three


class Scripted:
    """Answers questions of a member, or fails; counts them."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, 0

    async def __call__(self, *_: str) -> Any:
        self.asked += 1
        if isinstance(self.answer, GatewayError):
            raise self.answer
        return self.answer


DOWN = GatewayError(Fault.UNAVAILABLE, "down")


async def ask(scene: Scene, question: str, *answers: Any) -> tuple[Any, list[int]]:
    """Ask the pool what its members answer in turn."""
    pool = scene.enforce(three())
    scripted = [Scripted(answer) for answer in answers]
    for each, member in zip(scripted, pool.members, strict=True):
        setattr(member.parts.upstream, question, each)
    arguments = () if question == "index" else ("digits", "")
    try:
        found = await getattr(pool.catalog, question)(*arguments)
    except GatewayError as error:
        found = error.fault
    return found, [each.asked for each in scripted]


@virtual_time
@pytest.mark.parametrize("question", ["describe", "config", "index", "is_ready"])
async def test_one_member_is_asked_and_another_where_that_is_down(question: str) -> None:
    """Each question that a catalog takes; an answer that there is no such model is an answer."""
    for answers, found, asked in (
        (("a", "b", "c"), "a", [1, 0, 0]),
        ((DOWN, "b", "c"), "b", [1, 1, 0]),
        ((DOWN, DOWN, DOWN), Fault.UNAVAILABLE, [1, 1, 1]),
        ((GatewayError(Fault.NOT_FOUND, "unknown"), "b", "c"), Fault.NOT_FOUND, [1, 0, 0]),
    ):
        scene = Scene()
        assert await ask(scene, question, *answers) == (found, asked)
        await scene.aclose()


@virtual_time
async def test_without_members_nobody_is_asked() -> None:
    """It says which endpoint has none."""

    async def nobody():
        return ()

    with pytest.raises(GatewayError, match="'central' has no members"):
        await PoolCatalog("central", nobody).index()
