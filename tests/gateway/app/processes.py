"""Settings of small processes in this one, on free ports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp

from gateway.config.settings import Settings, load_settings
from tests.gateway.policies import GOOD, write_policy
from tests.scenarios.world import digits

EDGE = f"""\
role: edge
region: here
listen: {{http: '127.0.0.1:0', grpc: '127.0.0.1:0', admin: '127.0.0.1:0'}}
policy: policy.yaml
models: {{repository: '{digits.EDGE_REPOSITORY}', certificates: certificates}}
cache: {{memory: {{max_bytes: 1048576}}}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""

CENTRAL = f"""\
role: central
region: there
listen: {{http: '127.0.0.1:0', grpc: null, admin: '127.0.0.1:0'}}
models: {{repository: '{digits.CENTRAL_REPOSITORY}'}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""


def settings(folder: Path, text: str, policy: str = GOOD) -> Settings:
    """Return the settings in ``text``, beside a policy."""
    write_policy(folder, policy)
    file = folder / "settings.yaml"
    file.write_text(text)
    return load_settings(file, {})


async def get(port: int, path: str) -> tuple[int, bytes]:
    """The status and the body of one answer over HTTP."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.read()


async def get_json(port: int, path: str) -> Any:
    """The body of one answer over HTTP, decoded."""
    return json.loads((await get(port, path))[1])
