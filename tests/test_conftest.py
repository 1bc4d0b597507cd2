"""What all tests have in common: one that fails is no trouble for those after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFTEST = "from tests.conftest import pytest_runtest_protocol"

SETTINGS = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""

TESTS = """\
import asyncio
import gc
import socket

LISTENING = socket.create_server(("127.0.0.1", 0))
ADDRESS = LISTENING.getsockname()


def test_a_socket():
    left = socket.create_connection(ADDRESS)
    assert left is None


def test_after_it():
    gc.collect()


async def test_a_connection():
    left = await asyncio.open_connection(*ADDRESS)
    assert left is None


def test_after_that():
    gc.collect()


def test_the_last_ends_its_socket():
    LISTENING.close()
"""


def test_what_a_failed_test_leaves_open_is_no_failure_of_the_next(tmp_path: Path) -> None:
    for name, text in (("conftest.py", CONFTEST), ("pytest.ini", SETTINGS), ("test_it.py", TESTS)):
        (tmp_path / name).write_text(text)

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "2 failed, 3 passed" in ran.stdout, ran.stdout + ran.stderr
