"""`edgeway cache warm` against a port for clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDictProxy

from gateway.__main__ import main
from gateway.commands.cache_warm import KEYS_VARIABLE, Sender
from tests.gateway.app.test_cache_inspection import body_of
from tests.scenarios.world import CONFIDENT, UNSURE, World, picture

LINE: dict[str, Any] = {"model": "digits", "request": {"inputs": []}}


def log(folder: Path, *lines: dict[str, Any]) -> Path:
    file = folder / "requests.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


class Served:
    """What came, and answers by turns: ``statuses``, the last one for ever."""

    def __init__(self, *statuses: int, provenance: str = "edge", certified: str = "true") -> None:
        self.statuses = list(statuses) or [200]
        self.headers = {"x-edgeway-provenance": provenance, "x-edgeway-certified": certified}
        self.came: list[tuple[str, CIMultiDictProxy[str], bytes]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.came.append((request.raw_path, request.headers, await request.read()))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, text="{}", headers=self.headers)


@asynccontextmanager
async def port_of(served: Served) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_post("/{path:.*}", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def warm(port: int, file: Path, *arguments: str) -> int:
    command = ["cache", "warm", "--log", str(file), "--gateway", f"127.0.0.1:{port}", "--rate", "1000"]
    return await asyncio.to_thread(main, [*command, *arguments])


async def test_a_gateway_has_the_answers_afterwards(tmp_path: Path, capsys) -> None:
    """One that it computes by itself, one for which it asks central; the second time both are hits."""
    lines = [{"model": "digits", "request": body_of(picture(image))} for image in (CONFIDENT, UNSURE)]
    file = log(tmp_path, *lines)
    async with World(tmp_path) as world:
        assert world.edge.servers.http is not None
        port = world.edge.servers.http.port
        assert await warm(port, file) == 0
        assert capsys.readouterr().out == "line 2: filled 2\n"
        assert await warm(port, file) == 0
        assert capsys.readouterr().out == "line 2: hits 2\n"
        assert world.metric('edgeway_cache_lookups_total{level="l1",outcome="hit"}') == 2


async def test_requests_come_as_they_were_recorded(tmp_path: Path, monkeypatch) -> None:
    """Path, tenant, key, headers and body; what belongs to another connection stays behind."""
    monkeypatch.setenv(KEYS_VARIABLE, "secret")
    headers = {"X-Team": "a", "Content-Length": "9999", "Host": "elsewhere", "Transfer-Encoding": "chunked"}
    whole = {**LINE, "model": "a/b", "version": "2", "tenant": "acme", "headers": headers}
    served = Served()
    async with port_of(served) as port:
        assert await warm(port, log(tmp_path, whole)) == 0

    [(path, came, body)] = served.came
    assert path == "/v2/models/a%2Fb/versions/2/infer"
    assert body == b'{"inputs": []}'
    assert (came["X-Team"], came["x-edgeway-tenant"], came["authorization"]) == ("a", "acme", "Bearer secret")
    assert (came["Content-Length"], came["Host"]) == ("14", f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("provenance", "certified", "counted"),
    [
        ("cache;level=l2;origin=central", "true", "hits 1"),
        ("cache;level=l1;origin=central;stale", "true", "stale 1"),
        ("central", "true", "filled 1"),
        ("edge", "false", "uncertified 1"),
    ],
)
async def test_what_became_of_a_request(
    tmp_path: Path, capsys, provenance: str, certified: str, counted: str
) -> None:
    async with port_of(Served(provenance=provenance, certified=certified)) as port:
        assert await warm(port, log(tmp_path, LINE)) == 0

    assert capsys.readouterr().out == f"line 1: {counted}\n"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_it_stops_and_goes_on_where_it_stopped(tmp_path: Path, capsys, status: int) -> None:
    """The place is kept in a file, or named."""
    file, place = log(tmp_path, *([LINE] * 6)), tmp_path / "place"
    arguments = ("--concurrency", "1", "--place", str(place))
    served = Served(200, 200, status)
    async with port_of(served) as port:
        assert await warm(port, file, *arguments) == 1
        told = capsys.readouterr()
        assert told.out == "line 2: filled 2\n"
        assert f"stopped: {status}" in told.err and "--from 3" in told.err
        assert place.read_text() == "2\n"

        served.statuses = [200]
        assert await warm(port, file, *arguments) == 0
        assert capsys.readouterr().out == "line 6: filled 4\n"
        assert await warm(port, file, "--from", "6") == 0
        assert capsys.readouterr().out == "line 6: filled 1\n"

    assert len(served.came) == 3 + 4 + 1


async def test_a_request_that_is_refused_stops_nothing(tmp_path: Path, capsys) -> None:
    """It is told and counted, and so is one that cannot be sent at all."""
    broken = {**LINE, "headers": {"x-team": "two\r\nlines"}}
    async with port_of(Served(400, 200)) as port:
        code = await warm(port, log(tmp_path, LINE, broken, LINE), "--concurrency", "1")

    told = capsys.readouterr()
    assert (code, told.out) == (1, "line 3: filled 1, failed 2\n")
    assert "line 1: 400 {}" in told.err
    assert "line 2: it cannot be sent" in told.err


async def test_long_logs_tell_how_far_they_are(tmp_path: Path, capsys) -> None:
    async with port_of(Served()) as port:
        assert await warm(port, log(tmp_path, *([LINE] * 101)), "--rate", "1e6") == 0

    assert "line" in capsys.readouterr().err


def test_no_gateway_is_told_with_the_line(tmp_path: Path, capsys) -> None:
    code = main(["cache", "warm", "--log", str(log(tmp_path, LINE)), "--gateway", "127.0.0.1:1"])

    told = capsys.readouterr().err
    assert code == 1
    assert "no answer from http://127.0.0.1:1" in told and "--from 1" in told


def test_files_that_cannot_be_used(tmp_path: Path, capsys) -> None:
    """They are named, and nothing is sent."""
    assert main(["cache", "warm", "--log", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: No such file" in capsys.readouterr().err

    place = tmp_path / "place"
    place.write_text("far")
    assert main(["cache", "warm", "--log", str(log(tmp_path, LINE)), "--place", str(place)]) == 2
    assert "holds no number" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--rate", number) for number in ("0", "-1", "nan", "inf", "many")),
        *(("--concurrency", number) for number in ("0", "-1", "1.5", "9" * 20)),
    ],
)
def test_numbers_that_are_none(tmp_path: Path, capsys, arguments: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        main(["cache", "warm", "--log", str(tmp_path), f"{arguments[0]}={arguments[1]}"])

    assert arguments[1] in capsys.readouterr().err


async def test_a_key_is_never_shown() -> None:
    sender = Sender(None, "http://a.test", "secret")  # type: ignore[arg-type]

    assert repr(sender) == "<Sender to http://a.test, with a key>"


def test_help_has_examples(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["cache", "warm", "--help"])

    assert "edgeway cache warm --log" in capsys.readouterr().out.partition("examples:")[2]


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, capsys) -> None:
    """Whoever goes on from there later would begin anew."""
    place = tmp_path / "nowhere" / "place"
    async with port_of(Served()) as port:
        assert await warm(port, log(tmp_path, LINE), "--place", str(place)) == 0

    assert f"{place}: No such file or directory" in capsys.readouterr().err
