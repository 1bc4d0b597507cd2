"""Fixtures that several files here ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.conformance import Stage, edgeway


@pytest.fixture(scope="session")
def conformance_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An edge in front of a central gateway, and the two proxies."""
    with edgeway(tmp_path_factory.mktemp("conformance")) as stage:
        yield stage


@pytest.fixture
def stage(conformance_running: Stage) -> Iterator[Stage]:
    """The same, honest again after the test."""
    yield conformance_running
    conformance_running.be_honest()
