"""The model repository: which models and versions this process serves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnxruntime

from edge_models.errors import ModelError
from edge_models.session import ProviderChoice, Session, choose_providers
from edge_models.settings import MODEL_NAME, ModelsSettings
from gateway.core.catalog import Catalog, ModelSpec, unknown_model

PLATFORM: Final = "onnxruntime_onnx"
_NAME: Final = re.compile(MODEL_NAME)
# As Triton has it: other folders beside the versions are left alone.
_VERSION: Final = re.compile(r"^[1-9][0-9]{0,17}$")
_MOUNT_POINT: Final = "lost+found"


@dataclass(frozen=True, slots=True)
class Model:
    """One version of one model, loaded."""

    spec: ModelSpec
    version: str
    session: Session

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name


class Registry:
    """All models of this process. Nothing is loaded or dropped after the start."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {(model.name, model.version): model for model in models}
        for model in sorted(self._models.values(), key=lambda model: int(model.version)):
            self._models[model.name, ""] = model

    @classmethod
    def load(cls, settings: ModelsSettings) -> Registry:
        """Load every version of every model; takes as long as ONNX Runtime needs.

        Raises:
            ModelError: for the first file or folder that cannot be served, by name.
        """
        available: list[str] = onnxruntime.get_available_providers()
        providers = choose_providers(settings.providers, available, settings.require)
        models = [model for folder in _folders(settings) for model in _load(folder, providers, settings)]
        return cls(models)

    def __repr__(self) -> str:
        named = ", ".join(f"{name}/{version}" for name, version in sorted(self._models) if version)
        return f"<Registry {named or 'empty'}>"

    def __iter__(self) -> Iterator[Model]:
        """Every model once per version."""
        return (model for (_, version), model in self._models.items() if version)

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
        """Return the metadata, with all versions that may be asked for."""
        return self.get(model, version).spec

    async def is_ready(self, model: str, version: str) -> bool:
        """Every model that is there is loaded."""
        self.get(model, version)
        return True


def _folders(settings: ModelsSettings) -> list[Path]:
    repository = Path(settings.repository)
    folders = [path for path in _entries(repository) if path.is_dir()]
    folders = [path for path in folders if path.name[0] != "." and path.name != _MOUNT_POINT]
    if not folders:
        raise ModelError(f"{repository}: the model repository holds no model")
    for path in folders:
        if not _NAME.fullmatch(path.name):
            raise ModelError(f"{path}: a model's name must match {MODEL_NAME}")
    for name in (*settings.batching, *settings.score_outputs):
        if name not in {path.name for path in folders}:
            raise ModelError(f"{repository}: the settings name '{name}', which is not among its models")
    return folders


def _load(folder: Path, providers: list[ProviderChoice], settings: ModelsSettings) -> Iterable[Model]:
    versions = sorted((path.name for path in _entries(folder) if _VERSION.fullmatch(path.name)), key=int)
    if not versions:
        raise ModelError(f"{folder}: holds no version; expected {folder.name}/1/model.onnx")
    for version in versions:
        path = folder / version / "model.onnx"
        session = Session(path, providers=providers, intra_op_threads=settings.intra_op_threads)
        if settings.require is not None:
            session.require(settings.require)
        spec = ModelSpec(folder.name, tuple(versions), PLATFORM, session.inputs, session.outputs)
        yield Model(spec, version, session)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read: {error.strerror}") from error


_: type[Catalog] = Registry
