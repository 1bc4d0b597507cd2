"""The arguments of `edgeway demo`; the demo itself is run by tests/e2e/test_demo.py."""

from __future__ import annotations

import pytest

from gateway.__main__ import main


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--requests", "299", "a whole number from 300"),
        ("--requests", "1e6", "a whole number from 300"),
        ("--requests", "10000001", "a whole number from 300"),
        ("--rate", "0", "a number of requests per second"),
        ("--rate", "nan", "a number of requests per second"),
        ("--rate", "fast", "a number of requests per second"),
        ("--seed", "x", "invalid int value"),
    ],
)
def test_arguments_that_cannot_be_played_are_refused(capsys, option: str, value: str, reason: str) -> None:
    """Before a model is certified or a process started."""
    with pytest.raises(SystemExit, match="2"):
        main(["demo", option, value])

    assert reason in capsys.readouterr().err
