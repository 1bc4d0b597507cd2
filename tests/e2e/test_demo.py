"""`edgeway demo`, short: the real thing with fewer requests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.redis, pytest.mark.timeout(800)]


def played(rate: int, folder: Path) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Run the demo with this many requests a second; what it printed, and its result."""
    command = [sys.executable, "-m", "gateway", "demo", "--requests", "7200", "--rate", str(rate)]
    ended = subprocess.run(
        [*command, "--out", str(folder)], capture_output=True, text=True, timeout=390, check=False
    )
    return ended, json.loads((folder / "demo.json").read_text())


def test_demo_keeps_its_promises_except_the_one_that_needs_its_length(tmp_path: Path) -> None:
    """Three faults, no failed request outside of the second after the kill, honest provenance."""
    ended, result = played(300, tmp_path)
    if not all(result["requests_per_phase"].values()):
        # Processes come back so slowly on this machine that the requests were over before all faults were.
        ended, result = played(75, tmp_path)

    # So few requests meet each image too rarely for the promised hit rate; all else must hold.
    broken = [promise for promise in result["broken_promises"] if "cache hit rate" not in promise]
    assert not broken, ended.stdout
    assert ended.returncode == (1 if result["broken_promises"] else 0), ended.stdout + ended.stderr
    assert result["requests"] == 7200
    assert result["policy_generation"] == 1
    assert result["requests_per_phase"]["gateway_down"] > 0
    assert result["uncertified"] > 0
    assert all(result["per_replica"].values())
    assert set(result["answered_by"]) == {"l1", "warm", "l2", "edge", "central", "stale"}
    assert "Traceback" not in ended.stderr
