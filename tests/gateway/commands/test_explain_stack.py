"""`edgeway policy explain --stack`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.__main__ import main
from tests.gateway.policies import GOOD, write_policy

SETTINGS = """\
role: edge
region: there
policy: policy.yaml
cache: {{redis: {{url: "{url}"}}}}
"""
TWO = (
    GOOD.replace(
        "endpoints:\n",
        "endpoints:\n  near: {tier: central, region: here, protocol: http, address: 'near:8000'}\n",
        1,
    )
    + "- {name: texts, match: {model: texts}, endpoints: [near]}\n"
)


def explained(folder: Path, *arguments: str, text: str = TWO) -> int:
    return main(["policy", "explain", str(write_policy(folder, text)), "--stack", *arguments])


def settings(folder: Path, url: str = "redis://127.0.0.1:1/0", text: str = SETTINGS) -> str:
    file = folder / "gateway.yaml"
    file.write_text(text.format(url=url))
    return str(file)


def test_all_routes_of_a_policy(tmp_path: Path, capsys) -> None:
    """From the policy alone: role, filter and reason of each layer in order, and what was assumed."""
    assert explained(tmp_path, "--region", "here") == 0

    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "gateway of here, policy generation 1; outermost first"
    assert lines[1].startswith("without --settings: default settings")
    titles = [line for line in lines if line.split(" ")[0] in {"all", "route", "endpoint"}]
    assert titles == ["all routes", "route digits", "route texts", "endpoint near", "endpoint central"]
    assert " 1  residency         <Residency here>" in lines
    assert (
        "      Fixes the allowed regions before anything can leave. Where this region is not among them the"
        in lines
    )
    assert "    abroad:" in lines
    assert " object at 0x" not in out


def test_one_route_is_that_of_a_request(tmp_path: Path, capsys) -> None:
    """With a model and a tenant, only its route and its endpoints are shown."""
    assert explained(tmp_path, "--client-country", "FR", "--model", "texts", "--json") == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["region"], list(shown["routes"]), list(shown["endpoints"])) == ("here", ["texts"], ["near"])
    assert len(shown["notes"]) == 1
    assert [layer["role"] for layer in shown["routes"]["texts"]] == [
        "residency",
        "deadline",
        "retry",
        "router",
    ]


def test_settings_say_which_gateway(tmp_path: Path, capsys) -> None:
    """Region, levels and limits are those of the file; nothing is assumed."""
    assert explained(tmp_path, "--settings", settings(tmp_path), "--json") == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["region"], shown["notes"]) == ("there", [])
    assert "<RedisLevel " in shown["routes"]["digits"][4]["filter"]
    assert explained(tmp_path, "--settings", settings(tmp_path), "--region", "here") == 0
    assert capsys.readouterr().out.startswith("gateway of here")


def test_a_model_that_no_route_takes_is_refused(tmp_path: Path, capsys) -> None:
    """As without --stack: exit code 1, and what a client would get."""
    assert explained(tmp_path, "--region", "here", "--model", "cats") == 1

    assert capsys.readouterr().out == "refused, 404: no route takes model 'cats' from tenant 'anonymous'\n"


CENTRAL = "role: central\nregion: here\nmodels: {{repository: models}}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--region: say whose gateway is meant: here, there"),
        (["--region", "hare"], "--region: unknown region 'hare'; did you mean 'here'?"),
        (["--region", "here", "--model", "digits", "--tenant", "exil"], "unknown tenant 'exil'"),
        (["--settings", "missing.yaml"], "missing.yaml"),
    ],
)
def test_wrong_arguments(arguments: list[str], says: str, tmp_path: Path, capsys) -> None:
    """Exit code 2, with what may have been meant."""
    assert explained(tmp_path, *arguments) == 2

    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "url", "says"),
    [
        (CENTRAL, "", "settings of a central tier, which takes no policy"),
        (SETTINGS, "redis://user:hunter2@127.0.0.1/0?db=many", "cache.redis.url cannot be used"),
        (SETTINGS.replace("there", "nowhere"), "redis://127.0.0.1:1/0", "unknown region 'nowhere'"),
    ],
)
def test_settings_that_do_not_fit(text: str, url: str, says: str, tmp_path: Path, capsys) -> None:
    """Exit code 2; no secret of the settings is repeated."""
    assert explained(tmp_path, "--settings", settings(tmp_path, url, text)) == 2

    err = capsys.readouterr().err
    assert says in err
    assert "hunter2" not in err


def test_whoever_reads_may_have_seen_enough(tmp_path: Path) -> None:
    """`| head` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gateway", "policy", "explain", str(write_policy(tmp_path, TWO))]

    ran = subprocess.run(
        [*command, "--stack", "--region", "here"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (1, "")
