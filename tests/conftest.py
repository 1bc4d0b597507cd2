"""Fixtures that any test may ask for."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from tests.fakes.redis_server import RedisServer
from tests.fakes.telemetry import RecordingTelemetry

settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("dev", deadline=None, max_examples=30)
settings.register_profile("nightly", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What a test that failed left open ends with it, so that no later test fails by the warning about it."""
    failed = item.session.testsfailed
    outcome = yield
    if item.session.testsfailed > failed:
        for name in ("last_exc", "last_value", "last_traceback"):
            vars(sys).pop(name, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
    return outcome


@pytest.fixture
def telemetry() -> RecordingTelemetry:
    """Telemetry that keeps what it hears."""
    return RecordingTelemetry()


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One real redis-server for all tests that neither stop nor break it; each flushes what it wrote."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A real redis-server of the test's own, to kill, pause and fill."""
    with RedisServer() as server:
        yield server
