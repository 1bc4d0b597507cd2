"""The gateways that Triton's examples are run against."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from loadtests.clients.arrangements import ADDRESS, ARRANGEMENTS


@pytest.mark.parametrize("name", ["one process", "edge before Edgeway"])
def test_they_start_and_have_the_models(tmp_path: Path, name: str) -> None:
    """Settings and policy are read, and the index has what the examples ask for."""
    with ARRANGEMENTS[name](tmp_path, tmp_path, 2) as ports:
        url = f"http://{ADDRESS}:{ports.http}/v2/repository/index"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as answer:
            index = json.load(answer)

    assert {each["state"] for each in index} == {"READY"}
    assert len({each["name"] for each in index}) == 2
