"""`edgeway cache purge` against an admin port."""

from __future__ import annotations

import asyncio
import json

import msgspec

from gateway.__main__ import main
from gateway.admin.listener import AdminListener
from gateway.admin.purge_routes import purge_routes
from gateway.commands.cache_purge import lines
from gateway.core.purge import PurgeOrder, PurgeReader, PurgeReport
from tests.fakes.operator import nothing
from tests.gateway.admin.test_purge_routes import Purging


async def run(purges: Purging, *arguments: str) -> int:
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=purge_routes(purges))
    await listener.start("127.0.0.1", 0)
    admin = ("--admin", f"127.0.0.1:{listener.port}")
    code = await asyncio.to_thread(main, ["cache", "purge", *arguments, *admin])
    await listener.aclose()
    return code


async def test_what_is_named_is_ordered(capsys) -> None:
    """And the report says which routes it concerns and who has it."""
    purges = Purging()

    code = await run(purges, "--model", "m", "--tag", "x", "--region", "eu", "--region", "us", "--wait")

    assert code == 0
    assert purges.orders == [PurgeOrder(model="m", tag="x", regions=("eu", "us"), wait_s=8.0)]
    assert capsys.readouterr().out.splitlines() == [
        "purged: model m, tag x in eu, us",
        "routes: digits",
        "has it  eu  eu/1",
    ]


async def test_for_programs(capsys) -> None:
    """What the gateway answers, as it is."""
    assert await run(Purging(), "--all", "--json") == 0
    assert json.loads(capsys.readouterr().out)["routes"] == ["digits"]


async def test_what_is_not_everywhere_is_a_failure(capsys) -> None:
    """A log that cannot be written, a region of which nobody reads, a refusal, a name that is too long."""
    purges = Purging()
    for changes in ({"remarks": ("the log of eu cannot be written",)}, {"unheard": ("us",)}):
        purges.report = msgspec.structs.replace(PurgeReport(routes=("digits",)), **changes)
        assert await run(purges, "--all") == 1
    assert await run(purges, "--model", "unknown") == 1
    assert await run(purges, "--model", "m" * 300) == 2
    assert "name a model" in capsys.readouterr().err


def test_nothing_is_left_out_of_a_report() -> None:
    """A dry run says so; who is waited for stands out."""
    late = PurgeReader(name="us/1", region="us", has_it=False)
    report = PurgeReport(remarks=("unknown tenant",), readers=(late,), unheard=("ap",))

    assert lines(PurgeOrder(all=True, dry_run=True), report) == [
        "would purge: all answers",
        "routes: none",
        "note: unknown tenant",
        "WAITING  us  us/1",
        "UNHEARD  ap: no gateway of it reads this region's log",
    ]
