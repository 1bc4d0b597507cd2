"""Models and settings of this process, as REST and gRPC both show and change them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from gateway.core.catalog import IndexEntry, VisibleModels
from gateway.core.control import Setting
from gateway.core.errors import Fault, GatewayError, printable, without_folders
from gateway.core.request import Parameter
from gateway.core.statistics import OTHER, Counted, ModelStatistics
from gateway.http.exchange import Head
from gateway.listeners.oip.extensions import Extensions
from gateway.wire.oip.model_config import model_config
from gateway.wire.oip.passed_config import passed_on

LOADING: Final = "loading models"
UNLOADING: Final = "unloading models"

MOST_ORDER_BYTES: Final = 16 << 20
"""Of an order to load, which may bring a model."""

_READY: Final = "READY"


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

        Of models that others may use, too, a tenant gets those of its own requests.

        Raises:
            GatewayError: NOT_FOUND.
        """
        if model:
            spec = await models.describe(model, version)
            counted = await self._extensions.statistics.counted(self._whose(models, model))
            return list(counted.report(model, spec.versions, only=version))
        versions: dict[str, list[str]] = {}
        for entry in self._extensions.repository.index():
            versions.setdefault(entry.name, []).append(entry.version)
        everybodys = await self._extensions.statistics.counted()
        # Names that are counted together may be others'.
        names = {*everybodys.models(), *versions} - {OTHER}
        own: Counted | None = None
        found: list[ModelStatistics] = []
        for name in sorted(filter(models.may_use, names)):
            counted = everybodys
            if tenant := self._whose(models, name):
                own = counted = own or await self._extensions.statistics.counted(tenant)
            found += counted.report(name, versions.get(name, ()))
        return found

    async def index(
        self, models: VisibleModels | None, repository: str, *, ready_only: bool
    ) -> Sequence[IndexEntry]:
        """Return every version of every model of this process, and of the servers behind it.

        ``models``: the caller's; None for the operator, who gets all of this process and nothing else, as at
        the admin port.

        Raises:
            GatewayError: UNSUPPORTED for a repository by name.
        """
        _check_repository(repository)
        own = self._extensions.repository.index()
        entries = own if models is None else await _of_caller(own, models)
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
        with _names_alone(f"failed to load '{printable(model)}'"):
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
        with _names_alone(f"failed to unload '{printable(model)}'"):
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

    def _whose(self, models: VisibleModels, model: str) -> str:
        """Return of whom the caller sees the statistics: of one tenant, or empty for everybody."""
        shows_all = self._extensions.settings.share_statistics or models.is_alone(model)
        return "" if shows_all else models.tenant


async def _of_caller(own: Sequence[IndexEntry], models: VisibleModels) -> Sequence[IndexEntry]:
    """Return those of this process that the caller may use, with those of the servers behind it."""
    found: dict[tuple[str, str], IndexEntry] = {}
    for entry in (*(entry for entry in own if models.may_use(entry.name)), *await models.index()):
        key = (entry.name, entry.version)
        # Of two tiers that have the model the one where it is ready counts: its requests go there.
        if key not in found or (entry.state == _READY != found[key].state):
            found[key] = entry
    return list(found.values())


@contextmanager
def _names_alone(what: str) -> Iterator[None]:
    """Say in an error ``what`` failed, as clients look for it, and which file is meant, not where it lies."""
    try:
        yield
    except GatewayError as error:
        message = without_folders(error.message)
        if not message.startswith("failed to "):
            message = f"{what}: {message}"
        raise error.replaced(message=message) from error


def _check_repository(name: str) -> None:
    if name:
        raise GatewayError(
            Fault.UNSUPPORTED, f"repository '{printable(name)}' is not known: there is one, without a name"
        )
