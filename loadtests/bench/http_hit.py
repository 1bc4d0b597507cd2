"""Case `http_hit`: requests per second of an L1 hit over HTTP, against a bare aiohttp handler."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, Final

from loadtests.bench import servers, world
from loadtests.bench.rounds import in_turn, spread

CONNECTIONS: Final = 32
SECONDS: Final = 4
ROUNDS: Final = 5
PROMISED_RATIO: Final = 0.6


def measure(folder: Path) -> dict[str, Any]:
    """Load both servers in turn, each pinned to the same core, wrk on the other."""
    if shutil.which("wrk") is None:
        return {"skipped": "wrk is not installed (apt-get install wrk)"}
    folder.mkdir(parents=True, exist_ok=True)
    body, length = world.wire_request()
    headers = {"Inference-Header-Content-Length": str(length)}
    script = servers.write_script(folder, "post", body, headers)
    ours, bare = servers.free_port(), servers.free_port()
    settings = world.write_settings(folder, http_port=ours)
    edgeway = [sys.executable, "-m", "gateway", "serve", str(settings)]
    yardstick = [sys.executable, "-m", "loadtests.bench.bare_aiohttp", str(bare)]

    def load(port: int) -> float:
        url = f"http://{world.ADDRESS}:{port}/v2/models/digits/infer"
        return servers.wrk(script, url, connections=CONNECTIONS, seconds=SECONDS)["rps"]

    with servers.server(edgeway, ours), servers.server(yardstick, bare):
        values = in_turn({"edgeway": lambda: load(ours), "bare_aiohttp": lambda: load(bare)}, ROUNDS)
    ratios = [a / b for a, b in zip(values["edgeway"], values["bare_aiohttp"], strict=True)]
    ratio = spread(ratios)
    return {
        "request_bytes": len(body),
        "connections": CONNECTIONS,
        "requests_per_second": {name: spread(samples) for name, samples in values.items()},
        "ratio": ratio,
        "promised_ratio": PROMISED_RATIO,
        "kept": ratio["median"] >= PROMISED_RATIO,
    }
