"""What an operator changes and reads: a repository that remembers its loads, and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from gateway.core.catalog import IndexEntry
from gateway.core.errors import GatewayError
from gateway.core.operator import OperatorTokens
from gateway.core.repository import ModelSettings
from gateway.core.statistics import Counted, ModelStatistics
from gateway.http.exchange import Head
from gateway.listeners.oip.extensions import ProtocolSettings

TOKEN = "the-token-of-the-operator"
TOKENS = OperatorTokens([sha256(TOKEN.encode()).hexdigest()])
BEARER = {"authorization": f"Bearer {TOKEN}"}
"""What the operator sends."""

OPEN = {"settings": ProtocolSettings(admin_calls=True), "operator": TOKENS}
"""Of the Extensions of a port that takes what the operator orders."""


def head(headers: Mapping[str, str] = BEARER, method: str = "POST", path: str = "/") -> Head:
    """Return the head of a request, the operator's by default."""
    return Head(method, path, tuple(headers.items()))


class Loads:
    """A repository that loads nothing and remembers every call. ``failure`` is raised by each."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, Any]] = []
        self.traced: list[int] = []
        self.failure: GatewayError | None = None

    def index(self) -> list[IndexEntry]:
        return [IndexEntry("digits", "1", "READY"), IndexEntry("old", "2", "UNAVAILABLE", "unloaded")]

    async def listed(self) -> list[IndexEntry]:
        return self.index()

    def settings(self, model: str) -> ModelSettings:
        return ModelSettings(max_batch_size=len(model))

    async def load(self, model: str, parameters: Mapping[str, Any]) -> None:
        self._do("load", model, dict(parameters))

    async def unload(self, model: str, *, dependents: bool = False) -> None:
        self._do("unload", model, dependents)

    def _do(self, *call: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.done.append(call)


class Counts:
    """Statistics that a test writes: ``executions`` of one model, and those for each tenant."""

    def __init__(self, executions: int = 0, **tenants: int) -> None:
        self.executions, self.of = executions, tenants
        self.reports = 0

    async def counted(self, tenant: str = "") -> Counted:
        self.reports += 1
        count = self.of.get(tenant, 0) if tenant else self.executions
        return Counted([ModelStatistics("digits", "1", execution_count=count)])

    def tenants(self) -> list[str]:
        return list(self.of)


def executions(counted: Counted) -> int:
    """How often the model of Counts ran."""
    return sum(part.execution_count for part in counted.parts())


async def nothing() -> Any:
    """Return an empty report."""
    return {}
