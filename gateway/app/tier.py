"""What a role brings to its process: the value that the assembly functions of both roles return."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.app.endpoint_set import NO_ENDPOINTS
from gateway.app.pools.drained import Drained
from gateway.app.pools.operated import OperatedEndpoints
from gateway.core.catalog import Catalogs
from gateway.core.control import CacheControl, NoCache
from gateway.core.repository import Repository

Report = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Tier:
    """An edge or a central tier, open and with a generation in force.

    ``catalogs``: what it knows of models, for each caller. ``repository``: the models that can be loaded and
    unloaded here. ``policy_report``: of the admin port's ``/policy``. ``health``: further sections of the
    admin port's health report, by name. ``reload``: loads again what is on disk; what is wrong changes
    nothing. ``endpoints``: as an operator sees and drains them.
    ``cache``: as an operator looks into it.
    """

    catalogs: Catalogs
    repository: Repository
    policy_report: Report
    health: Mapping[str, Report]
    reload: Callable[[], Awaitable[object]]
    endpoints: OperatedEndpoints = field(
        default_factory=lambda: OperatedEndpoints(lambda: NO_ENDPOINTS, Drained())
    )
    cache: CacheControl = field(default_factory=NoCache)
