"""`edgeway cache stats` against an admin port."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from gateway.__main__ import main
from gateway.admin.cache_routes import cache_routes
from gateway.admin.listener import AdminListener
from gateway.commands.cache_stats import lines, percent, size
from gateway.core.cache_report import CacheReport
from gateway.core.control import CacheControl, NoCache
from tests.fakes.operator import nothing
from tests.gateway.admin.test_cache_routes import Cache
from tests.gateway.core.test_cache_report import ONE, TWO, merged


class Full(Cache):
    async def report(self, top: int) -> CacheReport:
        self.tops.append(top)
        return merged([ONE, TWO], top)


async def run(cache: CacheControl, *arguments: str) -> int:
    """Run the program beside an admin port that it is told of."""
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=cache_routes(cache))
    await listener.start("127.0.0.1", 0)
    admin = ("--admin", f"127.0.0.1:{listener.port}")
    code = await asyncio.to_thread(main, ["cache", *arguments, *admin])
    await listener.aclose()
    return code


async def test_a_report_for_people(capsys) -> None:
    """The whole, each level with what else is to be said of it, what is under way, and who asks most."""
    assert await run(Full(), "stats") == 0

    told = capsys.readouterr().out.splitlines()
    assert told[0] == "70.0 % of 10 answers out of a cache (l1 6, central 3, stale 1), 2 workers"
    assert told[2].split() == "LEVEL HITS LAST MINUTE LOOK-UPS ENTRIES BYTES OF EVICTED".split()
    assert told[3].split() == "l1 60.0 % 100.0 % 10 3 300 B 2.0 KiB 1".split()
    assert told[4].split() == ["l2", "25.0", "%", "-", "4"]
    assert {
        "  l1 look-ups: hit 6, miss 4",
        "  l1 evicted: small 1",
        "  l1 held by: acme 150 B",
        "  l1 estimated hit ratio: double 62.5 %, half 25.0 %",
        "  l2 not kept: backlog 1",
        "flights: 1 under way, 3 requests wait, 10 have waited; early refreshes: 1 under way",
        "breaker of redis: closed, open",
    } <= set(told)
    assert told[-2].split() == "digits acme 9 77.8 % l1 6, central 2, stale 1".split()
    assert told[-1].split()[:3] == ["faces", "-", "1"]


async def test_programs_get_json(capsys) -> None:
    """As the gateway answers it, with as many names as are asked for."""
    cache = Full()
    assert await run(cache, "stats", "--json", "--top", "1") == 0

    report = json.loads(capsys.readouterr().out)
    assert (cache.tops, len(report["top"]), report["levels"][0]["hit_ratio"]) == ([1], 1, 0.6)


async def test_watching_goes_on_until_the_gateway_is_gone(capsys, monkeypatch) -> None:
    """It shows the report again and again; nothing that only a terminal reads goes into a pipe."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", wait)
    assert await run(Full(), "stats", "--watch", "5") == 130

    shown = capsys.readouterr().out
    assert waits == [5.0] * 3
    assert shown.count("LEVEL") == 3
    assert "\x1b" not in shown


async def test_a_gateway_without_caches(capsys) -> None:
    assert await run(NoCache(), "stats") == 0

    assert "`cache: {}`" in capsys.readouterr().out


def test_a_gateway_that_is_not_there(capsys) -> None:
    assert main(["cache", "stats", "--admin", "127.0.0.1:1"]) == 1

    assert "no answer from 127.0.0.1:1" in capsys.readouterr().err


async def test_what_the_gateway_refuses(capsys) -> None:
    assert await run(Full(), "stats", "--top", "-1") == 1

    assert "0 to" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_times_that_are_none(capsys, seconds: str) -> None:
    with pytest.raises(SystemExit):
        main(["cache", "stats", f"--watch={seconds}"])

    assert "from 0.1" in capsys.readouterr().err


def test_nothing_was_asked_yet() -> None:
    """There are no ratios, and no table of nobody."""
    told = lines(CacheReport(enabled=True))

    assert told[0].startswith("- of 0 answers")
    assert not any("MODEL" in line for line in told)


@pytest.mark.parametrize(
    ("taken", "shown"),
    [
        (None, ""),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3 << 30, "3.0 GiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_bytes(taken: int | None, shown: str) -> None:
    assert size(taken) == shown


def test_ratios() -> None:
    assert (percent(None), percent(0.0), percent(0.98765)) == ("-", "0.0 %", "98.8 %")


def test_help_has_examples(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["cache", "stats", "--help"])

    assert "edgeway cache stats --watch" in capsys.readouterr().out.partition("examples:")[2]
