"""`edgeway serve` up to the start of the gateway; processes that serve are in tests/e2e/test_serve.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.__main__ import main

SETTINGS = "role: central\nregion: home\nmodels: {repository: models}\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "settings.yaml"),
        ("role: [\n", "settings.yaml:"),
        (SETTINGS.replace("central", "middle"), "role"),
        (f"{SETTINGS}workers: 0\n", "workers"),
        (f"{SETTINGS}unknown: 1\n", "unknown"),
    ],
)
def test_settings_that_cannot_be_used_exit_2_and_name_the_field(
    tmp_path: Path, capsys, text: str | None, reason: str
) -> None:
    file = tmp_path / "settings.yaml"
    if text is not None:
        file.write_text(text)

    assert main(["serve", str(file)]) == 2

    assert reason in capsys.readouterr().err


FAILING = """
import logging
from gateway.commands.serve import log_to_stderr
log_to_stderr("info")
for _ in range(1000):
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("any").exception("a call failed")
"""


def test_log_of_what_repeats() -> None:
    """One traceback, and how many more there were, also when the process ends before the second does."""
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=True)

    lines = done.stderr.splitlines()
    assert lines[0].endswith("ERROR any: a call failed")
    # On a slow machine it takes more than a second.
    assert done.stderr.count("Traceback") < 10
    assert "more like it in the last second" in lines[-1]


def test_help_has_the_least_settings_and_the_signals(capsys) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])

    shown = capsys.readouterr().out
    for words in ("role: central", "policy: policy.yaml", "SIGTERM", "SIGHUP"):
        assert words in shown
    assert "--inherit" not in shown


BEFORE_IT_SERVES = """
import os, signal, sys
from pathlib import Path
from gateway.__main__ import main
import gateway.commands.serve as serve
def load(path):
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    raise SystemExit(7)
serve.load_settings = load
main(["serve", "settings.yaml"])
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 0), ("SIGINT", 0), ("SIGHUP", 7)])
def test_signals_before_it_serves(name: str, code: int) -> None:
    """Nothing is open yet, so there is nothing to drain; a reload does not end what is still unread."""
    ended = subprocess.run([sys.executable, "-c", BEFORE_IT_SERVES, name], capture_output=True, check=False)

    assert (ended.returncode, ended.stderr) == (code, b"")
