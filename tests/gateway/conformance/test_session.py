"""`edgeway conformance` from its arguments to its exit code."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gateway.__main__ import main
from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.http.server.listener import HttpListener
from tests.fakes.conformance import Stage, failed, on_a_thread, results_of
from tests.fakes.data_plane import EchoService, FakeCatalog
from tests.fakes.http import serving


def test_list_needs_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--list", "--only", "server"]) == 0

    shown = capsys.readouterr().out
    assert "server.live-body" in shown
    assert "7 checks" in shown
    assert "model.ready" not in shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "name the server"),
        (("ftp://x",), "is not a URL"),
        (("127.0.0.1:9",), "cannot connect to 127.0.0.1:9"),
        (("{url}", "--model", "unknown"), "no model can be tested; 'unknown'"),
        (("{url}", "--identity", "unknown"), "the identity model 'unknown'"),
        (("{url}", "--only", "server", "--json", "{folder}"), "the report cannot be written"),
    ],
)
def test_what_cannot_be_run_exits_2_and_says_why(
    conformance_running: Stage,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    reason: str,
) -> None:
    url = f"http://127.0.0.1:{conformance_running.ports.http}"

    assert main(["conformance", *(word.format(url=url, folder=tmp_path) for word in arguments)]) == 2
    assert reason in capsys.readouterr().err


def test_reports_and_failures_in_full(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1; the request, the answer and the clause on the screen and in both files."""
    stage.http_lie = lambda _, answer: answer.with_json(lambda body: body.update(live=False))
    files = ("--json", str(tmp_path / "c.json"), "--junit", str(tmp_path / "c.xml"))
    code = main(["conformance", f"127.0.0.1:{stage.lying_http}", "--only", "server", "--verbose", *files])
    shown = capsys.readouterr().out
    read = json.loads((tmp_path / "c.json").read_text())
    entry = next(entry for entry in read["checks"] if entry["id"] == "server.live-body")

    assert code == 1
    for words in ("'live' is not true", "OIP REST, Server Live", "GET /v2/health/live", '"live": false'):
        assert words in shown
    assert (read["run"]["server"].split()[0], read["run"]["model"]) == ("edgeway", "digits")
    assert entry["verdict"] == "fail"
    assert entry["exchanges"][0]["request"] == "GET /v2/health/live"
    assert '"live": false' in entry["exchanges"][0]["answer"]
    assert (
        ET.parse(tmp_path / "c.xml").getroot().find(".//testcase[@name='server.live-body']/failure")
        is not None
    )


def test_without_a_grpc_address_its_checks_do_not_apply(conformance_running: Stage) -> None:
    results = results_of(f"127.0.0.1:{conformance_running.ports.http}", "--only", "grpc", "--only", "parity")

    assert not failed(results)
    assert {result.verdict for name, result in results.items() if name.startswith("grpc.")} == {"n/a"}
    assert results["grpc.live"].reason == "no gRPC address was given (--grpc HOST:PORT)"


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_model_that_json_has_no_word_for_is_tested_all_the_same(datatype: str) -> None:
    """In binary, where a check does not need JSON."""
    tensor = TensorSpec("x", datatype, (-1, 3))
    catalog = FakeCatalog(ModelSpec("half", ("1",), "echo", (tensor,), (tensor,)))
    listening: list[HttpListener] = []

    @asynccontextmanager
    async def echo() -> AsyncIterator[None]:
        async with serving(EchoService(), catalog=catalog) as listener:
            listening.append(listener)
            yield

    with on_a_thread(echo):
        address = f"127.0.0.1:{listening[0].port}"
        only = [word for area in ("infer", "datatypes", "binary") for word in ("--only", area)]
        results = results_of(address, "--grpc", address, "--model", "half", "--identity", "half", *only)

    passed = (f"datatypes.binary-{datatype}", f"datatypes.grpc-{datatype}", "infer.batch", "binary.both")
    assert not failed(results)
    assert {results[name].verdict for name in passed} == {"pass"}
    for name in ("infer.flat", "infer.nested", "infer.no-content-type", "binary.input"):
        assert results[name] == ("n/a", "'x' has a datatype that JSON has no word for")
