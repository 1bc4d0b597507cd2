"""Models and settings of this process, as REST and gRPC both show and change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.control import Setting
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.repository import IndexEntry
from gateway.core.request import Parameter
from gateway.core.statistics import ModelStatistics
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.oip.extensions import Extensions
from gateway.wire.oip.model_config import model_config

NO_SHARED_MEMORY = "shared memory with clients is not supported: send tensors in the request"


class ModelControl:
    """Describes models, and hands on the changes that an operator asks for."""

    def __init__(self, data_plane: DataPlane, extensions: Extensions) -> None:
        self._catalog = data_plane.catalog
        self._extensions = extensions

    def __repr__(self) -> str:
        return f"<ModelControl before {self._extensions.repository!r}>"

    async def config(self, model: str, version: str) -> dict[str, Any]:
        """Return a model's configuration.

        Raises:
            GatewayError: NOT_FOUND.
        """
        spec = await self._catalog.describe(model, version)
        return model_config(spec, self._extensions.repository.settings(model))

    async def statistics(self, model: str, version: str) -> list[ModelStatistics]:
        """Return the statistics of one version, of all versions of a model, or of all models.

        Raises:
            GatewayError: NOT_FOUND.
        """
        if model:
            spec = await self._catalog.describe(model, version)
            counted = await self._extensions.statistics.counted()
            return list(counted.report(model, (version,) if version else spec.versions))
        counted = await self._extensions.statistics.counted()
        versions: dict[str, list[str]] = {name: [] for name in counted.models()}
        for entry in self._extensions.repository.index():
            versions.setdefault(entry.name, []).append(entry.version)
        return [found for name in sorted(versions) for found in counted.report(name, versions[name])]

    def index(self, repository: str, *, ready_only: bool) -> Sequence[IndexEntry]:
        """Return every version of every model.

        Raises:
            GatewayError: UNSUPPORTED for a repository by name.
        """
        _check_repository(repository)
        entries = self._extensions.repository.index()
        return [entry for entry in entries if entry.state == "READY"] if ready_only else entries

    async def load(self, repository: str, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:
        """Load a model.

        Raises:
            GatewayError: FORBIDDEN on a public port, else as the repository has it.
        """
        self._extensions.check_admin("loading models")
        _check_repository(repository)
        await self._extensions.repository.load(model, parameters)

    async def unload(self, repository: str, model: str, parameters: Mapping[str, Parameter | bytes]) -> None:
        """Unload a model.

        Raises:
            GatewayError: FORBIDDEN on a public port, else as the repository has it.
        """
        self._extensions.check_admin("unloading models")
        _check_repository(repository)
        dependents = parameters.get("unload_dependents", False)
        if not isinstance(dependents, bool):
            raise GatewayError(Fault.INVALID, "parameter 'unload_dependents' must be true or false")
        await self._extensions.repository.unload(model, dependents=dependents)

    async def logging(self, wanted: Mapping[str, object]) -> dict[str, Setting]:
        """Change the log settings that ``wanted`` names, and return the settings in force.

        Raises:
            GatewayError: FORBIDDEN on a public port, else as LogSettings has it.
        """
        if not wanted:
            return self._extensions.logging.read()
        self._extensions.check_admin("changing what is logged")
        return await self._extensions.logging.change(wanted)

    async def tracing(self, model: str, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
        """Change the trace settings that ``wanted`` names, and return the settings in force.

        Raises:
            GatewayError: NOT_FOUND; FORBIDDEN on a public port; UNSUPPORTED for one model alone; else as
                TraceSettings has it.
        """
        if model:
            await self._catalog.describe(model, "")
        now = self._extensions.tracing.read()
        if not wanted:
            return now
        self._extensions.check_admin("changing what is traced")
        if model and any(values and list(values) != now.get(name) for name, values in wanted.items()):
            raise GatewayError(Fault.UNSUPPORTED, "trace settings are those of all models")
        return await self._extensions.tracing.change(wanted)


def _check_repository(name: str) -> None:
    if name:
        raise GatewayError(
            Fault.UNSUPPORTED, f"repository '{printable(name)}' is not known: there is one, without a name"
        )
