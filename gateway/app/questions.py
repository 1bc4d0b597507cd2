"""The questions about models that an edge gateway asks of its central endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import msgspec

from gateway.app.queries import Asker, Queries
from gateway.core.catalog import IndexEntry, ModelSpec, RemoteCatalog
from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import ModelSettings
from gateway.upstreams.answer_configs import has_no_configuration
from gateway.wire.oip.model_config import model_config
from routing.matching import Routes
from routing.policy import EDGE, Policy, Route

_NONE: Final = b"none"
"""That a server has no configuration of a model, which is remembered as one is."""


class KnownEndpoints(Protocol):
    """The endpoints in force (``gateway.app.endpoint_set.EndpointSet``)."""

    def catalog(self, name: str) -> RemoteCatalog | None:
        """Return what the endpoint knows of models; None when it is not in force."""
        ...

    def is_available(self, endpoint: str) -> bool:
        """Whether the endpoint's breaker lets requests through now."""
        ...


class KnownPolicy(Protocol):
    """The policy in force and what was made of it (``gateway.app.generation.InForce``)."""

    def policy(self) -> Policy:
        """Return the policy."""
        ...

    def serial(self) -> int:
        """Return the number of what is in force; whatever comes into force has another."""
        ...

    def matching(self) -> Routes:
        """Return which routes take whom."""
        ...

    def endpoints(self) -> KnownEndpoints:
        """Return the endpoints."""
        ...


class Questions:
    """What one asker asks of endpoints. Equal questions of all askers are one, and are remembered.

    Whatever is in force anew, a policy or a certificate, is asked anew.
    """

    def __init__(self, in_force: KnownPolicy, queries: Queries, asker: Asker) -> None:
        self._in_force, self._queries, self._asker = in_force, queries, asker

    def __repr__(self) -> str:
        return f"<Questions of {self._asker.tenant}, {self._queries!r}>"

    async def describe(self, endpoint: str, model: str, version: str) -> ModelSpec:
        """Ask for a model's metadata, which have the name that was asked for, as its configuration has.

        Raises:
            GatewayError: as the endpoint and ``Queries.ask`` have it.
        """
        version = self._as_known(endpoint, model, version)

        async def ask() -> ModelSpec:
            spec = await self._catalog(endpoint).describe(model, version)
            return spec if spec.name == model else replace(spec, name=model)

        serial = self._in_force.serial()
        return await self._queries.ask(
            (serial, endpoint, "metadata", model, version),
            self._asker,
            ask,
        )

    async def config(self, endpoint: str, model: str, version: str) -> bytes:
        """Ask for a model's configuration; where there is none it is made from the metadata.

        Raises:
            GatewayError: as the endpoint and ``Queries.ask`` have it.
        """
        version = self._as_known(endpoint, model, version)

        async def ask() -> bytes:
            try:
                return await self._catalog(endpoint).config(model, version)
            except GatewayError as error:
                if not has_no_configuration(error):
                    raise
                return _NONE

        key = (self._in_force.serial(), endpoint, "config", model, version)
        config = await self._queries.ask(key, self._asker, ask)
        if config is not _NONE:
            return config
        spec = await self.describe(endpoint, model, version)
        return msgspec.json.encode(model_config(spec, ModelSettings()))

    async def index(self, endpoint: str) -> Sequence[IndexEntry]:
        """Ask for all models.

        Raises:
            GatewayError: as the endpoint and ``Queries.ask`` have it.
        """
        key = (self._in_force.serial(), endpoint, "index", "", "")
        return await self._queries.ask(key, self._asker, lambda: self._catalog(endpoint).index())

    def _catalog(self, endpoint: str) -> RemoteCatalog:
        catalog = self._in_force.endpoints().catalog(endpoint)
        if catalog is None:
            # A policy that came into force since has dropped it.
            raise GatewayError(Fault.UNAVAILABLE, f"endpoint '{endpoint}' is gone", retryable=True)
        return catalog

    def _as_known(self, endpoint: str, model: str, version: str) -> str:
        """Return an empty version for one that is known to be the only one: it is the same question."""
        spec = self._queries.known((self._in_force.serial(), endpoint, "metadata", model, ""))
        return "" if isinstance(spec, ModelSpec) and spec.versions == (version,) else version


def central(policy: Policy, route: Route) -> list[str]:
    """Return the endpoints of a route that are asked: another gateway would ask its own."""
    return [name for name in dict.fromkeys(route.endpoints) if policy.endpoints[name].tier != EDGE]
