"""Purges of one gateway: what is ordered, what is refused, and what is given afterwards."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from gateway.app.errors import StartError
from gateway.core.errors import GatewayError
from gateway.core.purge import PurgeOrder, PurgeReport
from gateway.core.request import Caller
from tests.fakes.cut_link import CutLink
from tests.fakes.redis_server import RedisServer
from tests.gateway.app.processes import EDGE
from tests.gateway.app.test_edge import opened
from tests.gateway.policies import GOOD
from tests.scenarios.world import CONFIDENT, picture

LEVELS = "cache: {memory: {max_bytes: 1048576}}"


def with_log(url: str, region: str = "here") -> str:
    return f"{EDGE}invalidation: {{redis: {{{region}: '{url}'}}, poll_ms: 10}}\n"


class Edge:
    """An edge gateway of ``text``, and who asks it."""

    def __init__(self, foundation, tier) -> None:
        self.foundation, self.tier = foundation, tier

    async def origin(self, tenant: str = "anonymous") -> str:
        caller = Caller(address="81.2.69.142", tenant=tenant, vouched=True)
        response = await self.foundation.in_force.current()(picture(CONFIDENT, caller=caller))
        return str(response.provenance.level or response.provenance.origin)

    async def purge(self, **order: object) -> PurgeReport:
        return await self.tier.purges.purge(msgspec.convert(order, PurgeOrder))  # type: ignore[no-any-return]


async def edge(lifetimes: AsyncExitStack, folder: Path, text: str = EDGE) -> Edge:
    return Edge(*await opened(lifetimes, folder, text))


async def test_what_is_named_is_computed_again(tmp_path: Path) -> None:
    """Another model, another tenant and a dry run leave it; it holds for this gateway alone, and says so."""
    async with AsyncExitStack() as lifetimes:
        one = await edge(lifetimes, tmp_path)
        await one.origin()
        for order in ({"model": "other"}, {"tenant": "acme"}, {"all": True, "dry_run": True}):
            report = await one.purge(**order)
            assert await one.origin() == "l1"
        assert (report.made, report.routes) == ((), ("digits",))
        for order in ({"model": "digits"}, {"tenant": "anonymous"}, {"all": True}):
            report = await one.purge(**order)
            assert await one.origin() == "edge"
            assert await one.origin() == "l1"

    assert not report.is_everywhere
    assert any("`invalidation`" in remark for remark in report.remarks)
    assert (await one.tier.purges.receipts(report, 1.0)).readers is None


async def test_without_a_log_another_region_does_not_hear_of_it(tmp_path: Path) -> None:
    """The order is obeyed where it can be, and whoever gave it is told where it cannot."""
    async with AsyncExitStack() as lifetimes:
        one = await edge(lifetimes, tmp_path)
        near = await one.purge(all=True, regions=["here"])
        far = await one.purge(all=True, regions=["here", "there"])

    assert not any("cannot be" in remark for remark in near.remarks)
    assert [remark for remark in far.remarks if "cannot be passed on to there" in remark]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({}, "name a model, a tenant or a tag"),
        ({"all": True, "model": "digits"}, "name one of the two"),
        ({"all": True, "regions": ["her"]}, "here"),
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, order: dict[str, object], message: str) -> None:
    """With what there is instead."""
    async with AsyncExitStack() as lifetimes:
        one = await edge(lifetimes, tmp_path)
        with pytest.raises(GatewayError, match=message):
            await one.purge(**order)


async def test_names_that_nobody_knows_are_remarked(tmp_path: Path) -> None:
    """They are obeyed all the same: the policy before may have had them."""
    async with AsyncExitStack() as lifetimes:
        one = await edge(lifetimes, tmp_path)
        remarks = [(await one.purge(**{field: "unheard-of"})).remarks for field in ("model", "tenant", "tag")]

    for field, (first, *_) in zip(("model", "tenant", "tag"), remarks, strict=True):
        assert field in first


@pytest.mark.redis
async def test_gateways_of_a_log_obey_one_another(redis: RedisServer, tmp_path: Path) -> None:
    """Whoever waits sees who has it; workers take what another has made at once."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    async with AsyncExitStack() as lifetimes:
        one = await edge(lifetimes, tmp_path / "one", with_log(redis.url))
        other = await edge(lifetimes, tmp_path / "other", with_log(redis.url))
        assert [await other.origin(), await other.origin()] == ["edge", "l1"]
        report = await one.purge(model="digits")

        seen = await one.tier.purges.receipts(report, 30.0)

        assert seen.readers
        assert [reader.has_it for reader in seen.readers] == [True, True]
        assert (report.is_everywhere, report.remarks, seen.unheard) == (True, (), ())
        assert await other.origin() == "edge"
        await other.tier.purges.take(report.made)
        assert await other.origin() == "l1"
        assert one.tier.health["invalidation"]()["here"]["number"] == 1
        with pytest.raises(GatewayError, match="no invalidation"):
            await other.tier.purges.take((msgspec.Raw(b"7"),))
        redis.kill()
        report = await one.purge(all=True)
        assert "try again" in report.remarks[0]


@pytest.mark.redis
async def test_who_has_it_may_not_be_known(redis: RedisServer, tmp_path: Path) -> None:
    """The log was written and cannot be read since."""
    async with CutLink(redis.port) as link, AsyncExitStack() as lifetimes:
        one = await edge(lifetimes, tmp_path, with_log(link.url))
        report = await one.purge(all=True)
        link.cut()

        seen = await one.tier.purges.receipts(report, 0.1)

    assert "cannot be read" in seen.remarks[-1]


async def test_a_log_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Without its URL, which may hold a password."""
    async with AsyncExitStack() as lifetimes:
        with pytest.raises(StartError, match=r"invalidation\.redis\.here") as refused:
            await edge(lifetimes, tmp_path, with_log("redis://:secret@127.0.0.1:port/0"))
    assert "secret" not in str(refused.value)
    assert LEVELS in EDGE
    assert "digits" in GOOD


async def test_names_that_no_log_takes_are_refused(tmp_path: Path) -> None:
    """Other gateways would not read them; whoever gives the order hears what to do."""
    async with AsyncExitStack() as lifetimes:
        one = await edge(lifetimes, tmp_path)
        with pytest.raises(GatewayError, match="at most 2560 are taken: name fewer"):
            await one.purge(tenant="\u4e2d" * 200, model="\u4e2d" * 200)
