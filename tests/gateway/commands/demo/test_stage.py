"""The demo's processes and the files that it writes for them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_models.samples import digits
from gateway.commands.demo.stage import CENTRALS, REGIONS, Process, Stage, StageError
from gateway.config.policy_file import read_policy
from gateway.config.settings import load_settings

DIGESTS = {"central": f"sha256:{0:064}"}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """With its files written, and nothing started."""
    return Stage(tmp_path / "demo", tmp_path / "certificates", DIGESTS, digits.FOLDER)


def test_policy_is_good_for_every_region(stage: Stage) -> None:
    for region in REGIONS:
        policy, findings, _ = read_policy(stage.folder / "policy.yaml", region)
        assert findings == []
        assert set(policy.regions) == set(REGIONS)


def test_settings_are_those_of_three_edges_and_two_central_replicas(stage: Stage) -> None:
    (stage.folder / "GeoIP2-City-Test.mmdb").touch()
    settings = {
        name: load_settings(stage.folder / f"{name}.yaml", environment={}) for name in (*REGIONS, *CENTRALS)
    }

    assert {name: each.role for name, each in settings.items()} == {
        **dict.fromkeys(REGIONS, "edge"),
        **dict.fromkeys(CENTRALS, "central"),
    }
    assert [settings[region].region for region in REGIONS] == list(REGIONS)
    assert all((settings[region].cache.redis is not None) == stage.has_redis for region in REGIONS)


def test_every_process_has_ports_of_its_own(stage: Stage) -> None:
    taken = [
        port for ports in stage.ports.values() for port in (ports.http, ports.grpc, ports.admin, ports.redis)
    ]

    assert len(set(taken)) == len(taken) == 20


def test_old_logs_go(tmp_path: Path) -> None:
    """A log is of this run: the message of a failure quotes its end."""
    old = tmp_path / "demo" / "eu-west.log"
    old.parent.mkdir()
    old.write_text("of yesterday\n")
    Stage(tmp_path / "demo", tmp_path, DIGESTS, digits.FOLDER)

    assert not old.exists()


def test_gateway_that_ends_at_once_is_named_with_the_end_of_its_log(stage: Stage) -> None:
    stage.gateways["eu-west"].command[:] = [sys.executable, "-c", "raise SystemExit('no such model')"]
    stage.gateways["eu-west"].start()
    assert stage.gateways["eu-west"].running is not None
    stage.gateways["eu-west"].running.wait(30)

    with pytest.raises(
        StageError, match=r"(?s)eu-west ended at once; its log: .*eu-west\.log.*no such model"
    ):
        stage.wait_ready("eu-west")


def test_process_is_stopped_killed_and_started_again(tmp_path: Path) -> None:
    """SIGTERM gives its own exit code; a kill is no stop; what does not run has stopped."""
    code = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "print('up', flush=True)\nsignal.pause()"
    )
    process = Process("it", [sys.executable, "-c", code], tmp_path / "log")
    assert process.stop() == 0
    process.kill()

    process.start()
    process.kill()
    assert process.running is None
    (tmp_path / "log").write_text("")

    process.start()
    while "up" not in (tmp_path / "log").read_text():
        assert process.running is not None
        assert process.running.poll() is None
    process.ask_to_stop()
    assert process.stop() == 3


def test_process_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\nwhile True: signal.pause()"
    process = Process("it", [sys.executable, "-c", code], tmp_path / "log")
    process.start()
    while "up" not in (tmp_path / "log").read_text():
        assert process.running is not None
        assert process.running.poll() is None
    process.ask_to_stop()

    assert process.stop(within_s=0.01) == -9
