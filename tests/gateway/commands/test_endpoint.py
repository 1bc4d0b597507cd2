"""`edgeway endpoint` against an admin port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.__main__ import main
from gateway.admin.endpoint_routes import endpoint_routes
from gateway.admin.listener import AdminListener
from gateway.commands.endpoint import table
from tests.gateway.admin.test_endpoint_routes import Endpoints

MEMBER = {"state": "closed", "weight": 2.0, "active": 3, "latency_ms": 4.25, "requests": 9, "failures": 1}


class Listed(Endpoints):
    async def listed(self) -> list[dict[str, Any]]:
        members = [
            {**MEMBER, "member": "10.0.0.1:80", "zone": "a"},
            {**MEMBER, "member": "10.0.0.2:80", "state": "open", "reason": "timeout", "drained": True},
        ]
        endpoint = {"endpoint": "central", "state": "closed", "drained": "operator", "problem": ""}
        return [{**endpoint, "members": members}]


async def run(*arguments: str) -> tuple[int, Listed]:
    """Run the program beside an admin port that it is told of."""

    async def nothing() -> dict[str, int]:
        return {}

    endpoints = Listed()
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=endpoint_routes(endpoints))
    await listener.start("127.0.0.1", 0)
    admin: Sequence[str] = ("--admin", f"127.0.0.1:{listener.port}")
    code = await asyncio.to_thread(main, ["endpoint", *arguments, *admin])
    await listener.aclose()
    return code, endpoints


async def test_members_are_shown_in_a_table(capsys) -> None:
    """State, load and place of each; drained ones say so."""
    code, _ = await run("list")

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0].split()[:4] == ["ENDPOINT", "/", "MEMBER", "STATE"]
    assert lines[1].startswith("central")
    assert "closed, drained by the operator" in lines[1]
    assert lines[2].split() == ["10.0.0.1:80", "closed", "3", "4.2", "ms", "2", "a", "9", "1"]
    assert "open, timeout, drained" in lines[3]


async def test_programs_get_json(capsys) -> None:
    """As the gateway answers it."""
    code, _ = await run("list", "--json")

    assert code == 0
    assert capsys.readouterr().out.startswith('[{"endpoint":"central"')


@pytest.mark.parametrize("verb", ["drain", "undrain"])
async def test_orders(capsys, verb: str) -> None:
    """Of an endpoint, and of a member."""
    code, endpoints = await run(verb, "central", "10.0.0.1:80")

    assert (code, endpoints.orders) == (0, [(verb, "central", "10.0.0.1:80")])
    assert capsys.readouterr().out == f"central 10.0.0.1:80 is {verb}ed\n"


async def test_what_is_refused_is_told(capsys) -> None:
    """On standard error, with exit code 1."""
    code, _ = await run("drain", "other")

    assert code == 1
    assert "unknown endpoint 'other'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["list", "drain", "undrain"])
def test_help_has_examples(capsys, verb: str) -> None:
    """To copy."""
    with pytest.raises(SystemExit):
        main(["endpoint", verb, "--help"])

    assert f"edgeway endpoint {verb}" in capsys.readouterr().out.partition("examples:")[2]


def test_models_are_shown_with_the_time_since_when() -> None:
    """A few of many; nothing where nothing is known."""
    many = {"models": [f"m{number}:1" for number in range(9)], "num_models": 40, "models_since": 86_400}
    none = {"models": [], "num_models": 0, "models_since": 86_401}
    listed = {"models": ["dig*"], "num_models": 1}
    endpoint = {"endpoint": "central", "state": "closed", "drained": "", "problem": "", **listed}
    members = [{**MEMBER, "member": name, **more} for name, more in (("a", many), ("b", none), ("c", {}))]

    header, whole, *rows = table([{**endpoint, "members": members}])

    start = header.index("MODELS")
    assert whole[start:] == "dig*"
    assert (
        rows[0][start:] == "m0:1 m1:1 m2:1 m3:1 m4:1 m5:1 m6:1 m7:1 and 32 more, since 1970-01-02T00:00:00Z"
    )
    assert rows[1][start:] == "none, since 1970-01-02T00:00:01Z"
    assert rows[2][start:] == ""
