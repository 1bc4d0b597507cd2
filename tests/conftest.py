"""Fixtures that any test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.fakes.redis_server import RedisServer
from tests.fakes.telemetry import RecordingTelemetry

settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("dev", deadline=None, max_examples=30)
settings.register_profile("nightly", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


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
