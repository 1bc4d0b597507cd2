"""Models and settings of this process, as REST and gRPC both show and change them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from gateway.core.catalog import IndexEntry, VisibleModels
from gateway.core.control import Setting
from gateway.core.errors import Fault, GatewayError, printable, without_folders
from gateway.core.request import Parameter
from gateway.core.statistics import OTHER, ModelStatistics
from gateway.http.exchange import Head
from gateway.listeners.oip.extensions import Extensions
from gateway.wire.oip.model_config import model_config
from gateway.wire.oip.passed_config import passed_on

LOADING: Final = "loading models"
UNLOADING: Final = "unloading models"
NO_SHARED_MEMORY: Final = "shared memory with clients is not supported: send tensors in the request"

_READY: Final = "READY"
_SHARED: Final = (
    "the statistics of a model that several tenants may use show what all of them do; the operator has them"
    " as metrics, and may set listen.protocol.share_statistics"
)


class ModelControl:
    """Describes models, and hands on the changes that an operator asks for."""

    def __init__(self, extensions: Extensions) -> None:
        self._extensions = extensions

    def __repr__(self) -> str:
        return f"<ModelControl before {self._extensions.repository!r}>"

    async def config(self, models: VisibleModels, model: str, version: str) -> dict[str, Any]:
        """Return a model's configuration: that of the server that answers what this process does not.

        Raises:
            GatewayError: NOT_FOUND.
        """
        own = self._extensions.repository.settings(model)
        config = await models.config(model, version)
        if config is not None:
            return passed_on(config, model, own if models.runs_here(model) else None)
        return model_config(await models.describe(model, version), own)

    async def statistics(self, models: VisibleModels, model: str, version: str) -> list[ModelStatistics]:
        """Return the statistics of one version, of all versions of a model, or of all models.

        Of models that others may use, too, they would show what the others do: those are the operator's.

        Raises:
            GatewayError: NOT_FOUND; FORBIDDEN for a model that the caller shares.
        """
        if model:
            spec = await models.describe(model, version)
            if not self._shows_counts(models, model):
                raise GatewayError(Fault.FORBIDDEN, _SHARED)
            counted = await self._extensions.statistics.counted()
            return list(counted.report(model, (version,) if version else spec.versions))
        counted = await self._extensions.statistics.counted()
        versions: dict[str, list[str]] = {name: [] for name in counted.models()}
        for entry in self._extensions.repository.index():
            versions.setdefault(entry.name, []).append(entry.version)
        # Names that are counted together may be others'.
        names = [name for name in sorted(versions) if name != OTHER and models.may_use(name)]
        shown = [name for name in names if self._shows_counts(models, name)]
        return [found for name in shown for found in counted.report(name, versions[name])]

    async def index(
        self, models: VisibleModels, repository: str, *, ready_only: bool
    ) -> Sequence[IndexEntry]:
        """Return every version of every model of this process, and of the servers behind it.

        Raises:
            GatewayError: UNSUPPORTED for a repository by name.
        """
        _check_repository(repository)
        own = [entry for entry in self._extensions.repository.index() if models.may_use(entry.name)]
        found: dict[tuple[str, str], IndexEntry] = {}
        for entry in (*own, *await models.index()):
            key = (entry.name, entry.version)
            # Requests go where it is ready.
            if key not in found or (entry.state == _READY != found[key].state):
                found[key] = entry
        entries = list(found.values())
        return [entry for entry in entries if entry.state == _READY] if ready_only else entries

    async def load(
        self, head: Head, repository: str, model: str, parameters: Mapping[str, Parameter | bytes]
    ) -> None:
        """Load a model.

        Raises:
            GatewayError: as Extensions and the repository have it.
        """
        self._extensions.check_admin(LOADING, head)
        _check_repository(repository)
        with _names_alone():
            await self._extensions.repository.load(model, parameters)

    async def unload(
        self, head: Head, repository: str, model: str, parameters: Mapping[str, Parameter | bytes]
    ) -> None:
        """Unload a model.

        Raises:
            GatewayError: as Extensions and the repository have it.
        """
        self._extensions.check_admin(UNLOADING, head)
        _check_repository(repository)
        dependents = parameters.get("unload_dependents", False)
        if not isinstance(dependents, bool):
            raise GatewayError(Fault.INVALID, "parameter 'unload_dependents' must be true or false")
        with _names_alone():
            await self._extensions.repository.unload(model, dependents=dependents)

    async def logging(self, head: Head, wanted: Mapping[str, object]) -> dict[str, Setting]:
        """Change the log settings that ``wanted`` names, and return the settings in force.

        Raises:
            GatewayError: as Extensions and LogSettings have it.
        """
        if not wanted:
            return self._extensions.logging.read()
        self._extensions.check_admin("changing what is logged", head)
        return await self._extensions.logging.change(wanted)

    async def tracing(
        self,
        head: Head,
        models: VisibleModels | None,
        model: str,
        wanted: Mapping[str, Sequence[str] | None],
    ) -> dict[str, list[str]]:
        """Change the trace settings that ``wanted`` names, and return the settings in force.

        ``models``: the caller's; None for the operator, who is no tenant.

        Raises:
            GatewayError: NOT_FOUND; UNSUPPORTED for one model alone; else as Extensions and the settings have
                it.
        """
        if model and models is not None:
            await models.describe(model, "")
        now = self._extensions.tracing.read()
        if not wanted:
            return now
        self._extensions.check_admin("changing what is traced", head)
        if model and any(values and list(values) != now.get(name) for name, values in wanted.items()):
            raise GatewayError(Fault.UNSUPPORTED, "trace settings are those of all models")
        return await self._extensions.tracing.change(wanted)

    def _shows_counts(self, models: VisibleModels, model: str) -> bool:
        return self._extensions.settings.share_statistics or models.is_alone(model)


@contextmanager
def _names_alone() -> Iterator[None]:
    """Say in an error which file is meant, and not where it lies."""
    try:
        yield
    except GatewayError as error:
        raise error.replaced(message=without_folders(error.message)) from error


def _check_repository(name: str) -> None:
    if name:
        raise GatewayError(
            Fault.UNSUPPORTED, f"repository '{printable(name)}' is not known: there is one, without a name"
        )
