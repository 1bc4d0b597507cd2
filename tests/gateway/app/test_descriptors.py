"""Open files: raised as far as needed, shared out, and what is missing is said."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from gateway.app import descriptors
from gateway.app.descriptors import LEAST, share, take
from gateway.app.errors import StartError
from gateway.config.settings import ListenSettings, Settings
from gateway.http.server.settings import TransportSettings


def made(max_connections: int = 10_000, **listen) -> Settings:
    transport = TransportSettings(max_connections=max_connections)
    return Settings(role="central", region="here", listen=ListenSettings(transport=transport, **listen))


@pytest.mark.parametrize(
    ("limit", "connections"),
    [
        (1 << 20, 20_000),
        (21_280, 20_000),
        (21_279, 19_999),
        (2_560, 1_280),
        (1_024, 512),
        (LEAST, LEAST // 2),
    ],
)
def test_share(limit: int, connections: int) -> None:
    """Clients get what the rest leaves, and half of few: never all."""
    found = share(made(), limit)

    assert found.connections == connections
    assert found.connections_per_address == connections // 2
    assert bool(found.complaint(made())) == (limit < 21_280)


def test_complaint_names_settings_and_figures() -> None:
    """What was wanted, what there is, what comes of it, and what to do."""
    text = share(made(grpc=None), 1_024).complaint(made(grpc=None))

    assert text.startswith(
        "1024 open files are allowed, and listen.transport.max_connections (10000 for each of 1 ports) with "
        "resilience.admission.max_requests (1024) needs 11280: only 512 connections are accepted, 256 of one "
        "address; raise the hard limit with LimitNOFILE="
    )
    assert "--ulimit nofile=" in text
    assert "lower max_connections" in text


def test_too_few_for_any_gateway() -> None:
    """The start ends, and says why."""
    with pytest.raises(StartError, match="12 open files are allowed, a gateway needs 128 at least"):
        share(made(), 12)


class FakeLimits:
    """The limits of a process that cannot be harmed; ``refuses``: a kernel that allows fewer than it says."""

    RLIMIT_NOFILE, RLIM_INFINITY = resource.RLIMIT_NOFILE, resource.RLIM_INFINITY

    def __init__(self, soft: int, hard: int, *, refuses: bool = False) -> None:
        self.limits, self._refuses = (soft, hard), refuses

    def getrlimit(self, _which: int) -> tuple[int, int]:
        return self.limits

    def setrlimit(self, _which: int, limits: tuple[int, int]) -> None:
        if self._refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "after", "connections"),
    [
        (1_024, 524_288, 21_280, 20_000),
        (1_024, INFINITE, 21_280, 20_000),
        (INFINITE, INFINITE, INFINITE, 20_000),
        (65_536, 524_288, 65_536, 20_000),
        (1_024, 4_096, 4_096, 2_816),
        (1_024, 1_024, 1_024, 512),
    ],
)
def test_limit_is_raised(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    soft: int,
    hard: int,
    after: int,
    connections: int,
) -> None:
    """To what is needed, never lowered; where that is not allowed, as far as it is, and the log says it."""
    limits = FakeLimits(soft, hard)
    monkeypatch.setattr(descriptors, "resource", limits)

    assert take(made()).connections == connections

    assert limits.limits == (after, hard)
    assert ("open files are allowed" in caplog.text) == (connections < 20_000)


def test_kernel_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be raised stays, and is shared out."""
    monkeypatch.setattr(descriptors, "resource", FakeLimits(1_024, INFINITE, refuses=True))

    assert take(made()).connections == 512


@pytest.fixture
def own_limit() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_of_this_process(own_limit: tuple[int, int]) -> None:
    """The real one can be raised again after it was lowered."""
    soft, hard = own_limit
    wanted = share(made(16, grpc=None), 1 << 20).wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(600, soft), hard))

    found = take(made(16, grpc=None))

    assert found.connections == 16
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, hard)
