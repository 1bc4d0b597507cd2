"""What the demo shows."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from gateway.commands.demo import screen
from gateway.commands.demo.stage import CENTRALS, REGIONS, Ports
from gateway.commands.demo.tally import Tally
from tests.gateway.commands.demo.test_tally import count, good_run

PORTS = {name: Ports(*range(base, base + 4)) for base, name in enumerate((*REGIONS, *CENTRALS), 100)}


def shown(show: Any, *arguments: Any) -> str:
    output = StringIO()
    show(Console(width=120, file=output), *arguments)
    return output.getvalue()


def result(tally: Tally) -> str:
    return shown(screen.result, tally, Path("out/demo.json"))


def test_figures_phases_and_promises() -> None:
    text = result(count(good_run()))

    for words in (
        "26",
        "eu-west 20, us-east 6",
        "88.5% (promised 85 %)",
        "50 ms until",
        "every promise was kept",
    ):
        assert words in text
    assert [phase for phase in ("steady", "central_down", "gateway_down") if phase not in text] == []
    assert "out/demo.json" in text


def test_the_spread_over_central_is_shown() -> None:
    text = result(replace(count(good_run()), per_replica={"central": 5, "central-2": 7}))

    assert "central 5, central-2 7" in text


def test_broken_promises_are_named() -> None:
    text = result(replace(count(good_run()), broken_promises=["two requests were lost"]))

    assert "broken promise: two requests were lost" in text
    assert "every promise was kept" not in text


def test_where_everything_listens() -> None:
    stage = SimpleNamespace(ports=PORTS, redis={"eu-west": None}, has_redis=True)
    text = shown(screen.processes, stage)
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}

    assert rows["eu-west"] == ["100", "101", "102", "103"]
    assert rows["us-east"] == ["101", "102", "103", "-"]
    assert "running without L2" in shown(
        screen.processes, SimpleNamespace(ports=PORTS, redis={}, has_redis=False)
    )


def test_what_is_left_running_comes_with_a_request_that_can_be_sent(tmp_path: Path) -> None:
    text = shown(screen.keep, SimpleNamespace(ports=PORTS, folder=tmp_path))
    request = json.loads((tmp_path / "request.json").read_text())

    assert (request["inputs"][0]["shape"], len(request["inputs"][0]["data"])) == ([1, 784], 784)
    for name in REGIONS:
        assert f"http://127.0.0.1:{PORTS[name].http}/v2/models/digits/infer" in text
    assert f"@{tmp_path / 'request.json'}" in text


def test_progress_goes_on() -> None:
    with screen.bar(Console(width=80, quiet=True), 10) as advance:
        advance(4)
        advance(6)
