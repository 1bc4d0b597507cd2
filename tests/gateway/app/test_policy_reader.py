"""A large policy is read in a process of its own, and is the same as one that is read here."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.app import policy_reader
from gateway.app.policy_child import main
from gateway.app.policy_reader import HERE_BYTES, pack, read_beside, unpack
from gateway.config.document import ConfigError
from gateway.config.policy_file import parse_policy
from routing.policy import Policy

POLICIES = sorted(Path("docs/policies").glob("*.yaml"))
FILE = Path("policy.yaml")
NOBODY = ("/no/such/program",)


def large(count: int = 1200, **more: Any) -> bytes:
    """A policy of many routes, whose last one is another."""
    routes: list[dict[str, Any]] = [
        {"name": f"route-{number}", "match": {"model": f"model-{number}"}, "endpoints": ["central"]}
        for number in range(count)
    ]
    match = {"model": "digits", "networks": ["10.0.0.0/8"]}
    routes.append({"name": "last", "match": match, "endpoints": ["central"], **more})
    policy = {
        "generation": 1,
        "regions": {"here": {}},
        "residency": {"all": {"regions": ["*"]}},
        "tenants": {"anonymous": {"residency": "all"}},
        "endpoints": {
            "central": {
                "tier": "central",
                "region": "here",
                "protocol": "grpc",
                "addresses": ["10.0.0.1:8001"],
                "tls": {"ca": "ca.pem"},
            }
        },
        "routes": routes,
    }
    return json.dumps(policy).encode()


def never(*_: object, **__: object) -> Policy:
    raise AssertionError("it is read in this process")


def read_by_child(text: bytes, region: str = "here") -> bytes:
    answer = io.BytesIO()
    main([str(FILE), region], io.BytesIO(text), answer)
    return answer.getvalue()


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.stem)
def test_what_is_handed_over_is_what_was_read(file: Path) -> None:
    read = parse_policy(file, file.read_bytes())

    assert unpack(file, pack(read)) == read


@pytest.mark.parametrize("count", [1, 49, 50, 51, 1200])
def test_routes_keep_their_order(count: int) -> None:
    text = large(count)

    assert unpack(FILE, read_by_child(text)) == parse_policy(FILE, text, "here")


def test_a_process_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = large()
    assert len(text) > HERE_BYTES
    read = parse_policy(FILE, text, "here")
    monkeypatch.setattr(policy_reader, "parse_policy", never)

    assert read_beside(FILE, text, "here") == read


@pytest.mark.parametrize(
    "text", [large(more=1), large(endpoints=["nobody"]), large() + b"]", b"[" * HERE_BYTES]
)
@pytest.mark.parametrize("region", ["here", "elsewhere"])
def test_what_is_wrong_is_said_as_ever(text: bytes, region: str) -> None:
    with pytest.raises(ConfigError) as here:
        parse_policy(FILE, text, region)
    with pytest.raises(ConfigError) as beside:
        unpack(FILE, read_by_child(text, region))

    assert (str(beside.value), beside.value.each) == (str(here.value), here.value.each)


def test_a_small_one_is_read_here() -> None:
    text = large(3)

    assert len(text) < HERE_BYTES
    assert read_beside(FILE, text, "here", NOBODY) == parse_policy(FILE, text, "here")


@pytest.mark.parametrize(
    "child",
    [
        NOBODY,
        (sys.executable, "-c", "raise SystemExit(1)"),
        (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"),
        (sys.executable, "-c", "print('no policy')"),
        (sys.executable, "-c", ""),
    ],
)
def test_where_no_process_can_it_is_read_here(
    child: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    text = large()

    assert read_beside(FILE, text, "here", child) == parse_policy(FILE, text, "here")
    assert "the policy is read in this process, which slows requests down" in caplog.text
