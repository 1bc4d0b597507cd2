"""The process that reads one policy: as a program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gateway.app.policy_reader import CHILD, unpack
from gateway.config.document import ConfigError
from gateway.config.policy_file import parse_policy

FILE = Path("docs/policies/canary.yaml")


def child(text: bytes, region: str) -> bytes:
    return subprocess.run([*CHILD, str(FILE), region], input=text, stdout=subprocess.PIPE, check=True).stdout


def test_it_reads_what_it_is_given_and_not_the_file() -> None:
    text = FILE.read_bytes().replace(b"generation: 1", b"generation: 7")

    assert unpack(FILE, child(text, "home")) == parse_policy(FILE, text, "home")


def test_it_says_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="has no region 'elsewhere'"):
        unpack(FILE, child(FILE.read_bytes(), "elsewhere"))
