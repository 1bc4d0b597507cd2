"""Open files: the limit is raised to what the settings need; connections of clients never take them all."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.app.errors import StartError
from gateway.config.settings import Settings

_LOG: Final = logging.getLogger("edgeway")

LEAST: Final = 128
"""With fewer open files than this no gateway starts."""

_OWN: Final = 256
"""For what a process opens for itself: modules, models, policy, logs, Redis, the admin port."""

_HOW: Final = "LimitNOFILE= (systemd), --ulimit nofile= (Docker), nofile in limits.conf or `ulimit -n`"


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Open files of one process.

    ``limit``: how many it may have. ``wanted``: how many its settings need. ``connections``: how many of
    ``limit`` the connections of its clients may be, of all listeners together.
    """

    limit: int
    wanted: int
    connections: int

    @property
    def connections_per_address(self) -> int:
        """How many of the connections one address may have: never so many that nobody else has any."""
        return max(1, self.connections // 2)

    def complaint(self, settings: Settings) -> str:
        """Return what is missing, and where to change it; empty: nothing is."""
        if self.limit >= self.wanted:
            return ""
        each = settings.listen.transport.max_connections
        return (
            f"{self.limit} open files are allowed, and listen.transport.max_connections ({each} for each of "
            f"{_num_listeners(settings)} ports) with resilience.admission.max_requests "
            f"({settings.resilience.admission.max_requests}) needs {self.wanted}: only {self.connections} "
            f"connections are accepted, {self.connections_per_address} of one address; raise the hard limit "
            f"with {_HOW}, or lower max_connections"
        )


def share(settings: Settings, limit: int) -> Descriptors:
    """Return how a process with ``settings`` shares out ``limit`` open files.

    Raises:
        StartError: they are too few for any gateway.
    """
    if limit < LEAST:
        raise StartError(
            f"{limit} open files are allowed, a gateway needs {LEAST} at least; raise it with {_HOW}"
        )
    clients = settings.listen.transport.max_connections * _num_listeners(settings)
    # Each request under way may have a connection to an endpoint.
    others = _OWN + settings.resilience.admission.max_requests
    return Descriptors(limit, clients + others, min(clients, limit - min(others, limit // 2)))


def take(settings: Settings) -> Descriptors:
    """Raise this process's limit of open files as far as its settings need, and say what is missing.

    Raises:
        StartError: they are too few for any gateway.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = share(settings, _finite(hard)).wanted
    if _finite(soft) < wanted:
        # Not every kernel lets a process have as many as it says.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, _finite(hard)), hard))
    found = share(settings, _finite(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    if complaint := found.complaint(settings):
        _LOG.warning("%s", complaint)
    return found


def _num_listeners(settings: Settings) -> int:
    return len(settings.listen.client_addresses())


def _finite(limit: int) -> int:
    return limit if limit != resource.RLIM_INFINITY else 1 << 30
