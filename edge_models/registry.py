"""The model repository: which models and versions this process serves."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import onnxruntime

from edge_models.configuration.model_configuration import FILE_NAME
from edge_models.enrich_file import ENRICH_FILE
from edge_models.errors import ForeignModelError, ModelError, ProviderError
from edge_models.model_folder import FolderReader, Model
from edge_models.override import Override, placed
from edge_models.rehearsal import Rehearsal
from edge_models.session import choose_providers
from edge_models.settings import MODEL_NAME, ModelLimits, ModelsSettings
from edge_models.version_folders import entries, versions_in
from gateway.core.catalog import Catalog, ModelSpec, unknown_model
from gateway.core.errors import Fault, GatewayError, printable

__all__ = ["Model", "RefusedModel", "Registry", "check_name", "is_central_only", "model_folders"]

_NAME: Final = re.compile(MODEL_NAME)
_MOUNT_POINT: Final = "lost+found"
_MOST_NAME: Final = 255
_MOST_NAMED: Final = 20
_MOST_REASON: Final = 4000
_DEFAULTS: Final = ModelLimits()
_log = logging.getLogger("edge_models.repository")


@dataclass(frozen=True, slots=True)
class RefusedModel:
    """A folder of the repository that is not served.

    ``versions``: those that it has. ``is_foreign``: another backend runs it, which is nobody's mistake.
    """

    versions: tuple[str, ...]
    reason: str
    is_foreign: bool = False

    def __post_init__(self) -> None:
        """Have a reason that can be sent and logged, whatever files are called."""
        object.__setattr__(self, "reason", printable(self.reason, _MOST_REASON))


class Registry:
    """All models of this process.

    ``settings``: where they are read from; without them none can be read anew.
    ``refused``: the folders that are not served, by their names.
    """

    def __init__(
        self,
        models: Iterable[Model],
        settings: ModelsSettings | None = None,
        refused: Mapping[str, RefusedModel] | None = None,
    ) -> None:
        self._settings = settings
        self.refused: dict[str, RefusedModel] = dict(refused or {})
        self._models: dict[tuple[str, str], Model] = {}
        for name, versions in groupby(sorted(models, key=_name), _name):
            self.put(name, versions)

    @classmethod
    def load(cls, settings: ModelsSettings) -> Registry:
        """Load the models; takes as long as ONNX Runtime needs. A bad folder stops no other.

        Raises:
            ModelError: no folder can be served, or, with ``exit_on_error``, the first that cannot; the
                settings name a model that is not there.
        """
        models: list[Model] = []
        refused: dict[str, RefusedModel] = {}
        with Rehearsal() as rehearsal:
            reader = _reader(settings, rehearsal)
            for folder in model_folders(settings):
                if is_central_only(folder):
                    continue
                try:
                    check_name(folder)
                    models += reader.read(folder)
                except ModelError as error:
                    is_foreign = isinstance(error, ForeignModelError)
                    if isinstance(error, ProviderError) or (settings.exit_on_error and not is_foreign):
                        raise
                    name = printable(folder.name, _MOST_NAME)
                    refused[name] = RefusedModel(_versions(folder), str(error), is_foreign)
                    _log.error("model %s is not served: %s", printable(folder.name), error)
        if not models and refused:
            reasons = "; ".join(each.reason for each in list(refused.values())[:_MOST_NAMED])
            raise ModelError(f"{settings.repository}: no model can be served: {reasons}")
        return cls(models, settings, refused)

    def read(self, name: str, override: Override | None = None) -> list[Model]:
        """Load one model as it is on disk now, or as ``override`` says; what is served does not change.

        Raises:
            ModelError: the first thing that is wrong with it.
            GatewayError: NOT_FOUND when the repository has no such model.
        """
        settings = self._settings
        if settings is None or not _NAME.fullmatch(name):
            raise _not_there(name)
        with Rehearsal() as rehearsal, placed(Path(settings.repository), name, override) as folder:
            if not folder.is_dir():
                raise _not_there(name)
            reader = _reader(settings, rehearsal, folder.parent)
            return reader.read(folder, override.config if override is not None else None)

    def without_folder(self, message: str) -> str:
        """Return ``message`` with files named from the repository on: nobody else need know where that is."""
        if self._settings is None:
            return message
        folder = str(Path(self._settings.repository))
        return message.replace(f"{folder}/", "").replace(folder, "the model repository")

    def startup_timeout_s(self, name: str) -> float:
        """Return the most seconds that a file of ``name`` may take to be loaded."""
        limits = self._settings.limits if self._settings is not None else {}
        return limits.get(name, _DEFAULTS).startup_timeout_s

    def put(self, name: str, models: Iterable[Model]) -> list[Model]:
        """Serve ``models`` and no others under ``name``; return those that were served before."""
        before = [model for model in self if model.name == name]
        for key in [key for key in self._models if key[0] == name]:
            del self._models[key]
        for model in sorted(models, key=lambda model: int(model.version)):
            self._models[name, model.version] = self._models[name, ""] = model
        return before

    def __repr__(self) -> str:
        named = ", ".join(f"{name}/{version}" for name, version in sorted(self._models) if version)
        return f"<Registry {named or 'empty'}>"

    def __iter__(self) -> Iterator[Model]:
        """Every model once per version."""
        # A copy, for a thread may look while another model is loaded.
        return (model for (_, version), model in list(self._models.items()) if version)

    def get(self, model: str, version: str = "") -> Model:
        """Return a model; ``version`` empty means its highest.

        Raises:
            GatewayError: NOT_FOUND.
        """
        found = self._models.get((model, version))
        if found is None:
            raise unknown_model(model, version if (model, "") in self._models else "")
        return found

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata, with all versions that requests may name."""
        return self.get(model, version).spec

    async def is_ready(self, model: str, version: str) -> bool:
        """Every model that is there is loaded; one whose runs do not end is not ready."""
        return not self.get(model, version).stuck.count


def _name(model: Model) -> str:
    return model.name


def _not_there(name: str) -> GatewayError:
    return GatewayError(
        Fault.NOT_FOUND, f"failed to load '{printable(name)}', failed to poll from model repository"
    )


def _reader(settings: ModelsSettings, rehearsal: Rehearsal, root: Path | None = None) -> FolderReader:
    available: list[str] = onnxruntime.get_available_providers()
    providers = choose_providers(settings.providers, available, settings.require)
    return FolderReader(root or Path(settings.repository), providers, settings, rehearsal)


def _versions(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(versions_in(folder))
    except ModelError:
        return ()


def model_folders(settings: ModelsSettings) -> list[Path]:
    """Return the folders of the repository, each of which is to be a model.

    Raises:
        ModelError: there are none, or not the ones that the settings name.
    """
    repository = Path(settings.repository)
    folders = [path for path in entries(repository) if path.is_dir()]
    folders = [path for path in folders if path.name[0] != "." and path.name != _MOUNT_POINT]
    if not folders:
        raise ModelError(f"{repository}: the model repository holds no model")
    for name in (*settings.batching, *settings.limits):
        if name not in {path.name for path in folders}:
            raise ModelError(f"{repository}: the settings name '{name}', which is not among its models")
    return folders


def is_central_only(folder: Path) -> bool:
    """Whether ``folder`` holds no model, and only says how inputs of a central one are filled."""
    names = {path.name for path in entries(folder)}
    return ENRICH_FILE in names and FILE_NAME not in names and not versions_in(folder)


def check_name(folder: Path) -> None:
    """Check that requests may name the model of ``folder``.

    Raises:
        ModelError: they may not.
    """
    if not _NAME.fullmatch(folder.name):
        raise ModelError(f"{folder.parent / printable(folder.name)}: a model's name must match {MODEL_NAME}")


_: type[Catalog] = Registry
