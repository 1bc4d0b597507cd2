"""The model repository: which models and versions this process serves."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Final

import onnxruntime

from edge_models.configuration.instances import instance_providers
from edge_models.configuration.labels import read_labels
from edge_models.configuration.model_configuration import ModelConfiguration
from edge_models.configuration.reading import read_configuration
from edge_models.configuration.scheduling import Scheduling, scheduling_of
from edge_models.configuration.served_tensors import ServedTensors, served_tensors
from edge_models.configuration.warmup import WarmupLimits, warm_up
from edge_models.errors import ModelError
from edge_models.executors import StuckRuns
from edge_models.files import FileError, read_within
from edge_models.rehearsal import Rehearsal
from edge_models.sequences.configured import configured_sequences, without_hidden
from edge_models.sequences.settings import SequenceSettings
from edge_models.session import ProviderChoice, Session, StoppableRun, choose_providers
from edge_models.settings import MODEL_NAME, BatchingSettings, ModelLimits, ModelsSettings
from edge_models.signature import Signature
from gateway.core.catalog import Catalog, ModelSpec, unknown_model
from gateway.core.errors import Fault, GatewayError, printable

PLATFORM: Final = "onnxruntime_onnx"
_NAME: Final = re.compile(MODEL_NAME)
# As Triton has it: other folders beside the versions are left alone.
_VERSION: Final = re.compile(r"^[1-9][0-9]{0,17}$")
_MOUNT_POINT: Final = "lost+found"
_DEFAULTS: Final = ModelLimits()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Model:
    """One version of one model, loaded.

    ``stuck``: its runs that do not end, whatever was done. ``config``: what its `config.pbtxt` says; None
    where there is none. ``tensors``: what its graph has in another shape than clients do; None: nothing.
    ``labels``: output → the names of its classes, in their order.
    ``sequences``: how its sequences are run, and then the graph has more inputs than ``spec``; None: it has
    no state.
    """

    spec: ModelSpec
    version: str
    session: Session
    limits: ModelLimits = _DEFAULTS
    stuck: StuckRuns = field(default_factory=StuckRuns)
    config: ModelConfiguration | None = None
    tensors: ServedTensors | None = None
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sequences: SequenceSettings | None = None

    def scheduling(self, entry: BatchingSettings | None) -> Scheduling:
        """Return how requests for it are scheduled; ``entry``: what the settings say about it.

        Raises:
            ModelError: naming the line of its configuration.
        """
        graph = (*self.session.inputs, *self.session.outputs)
        with named_from(Path(self.name)):
            return scheduling_of(self.config, entry, graph, batchable=self.session.batchable)

    def warm_up(self, folder: Path) -> None:
        """Run what its configuration orders to be run before anybody's request; ``folder`` is the model's.

        Raises:
            ModelError: it failed, or took too long.
        """
        config, run = self.config, StoppableRun(self.session)
        if config is None or not config.model_warmup:
            return
        if self.sequences is not None:
            _log.warning(
                "model %s: %s: model_warmup is not obeyed: the model has sequences",
                self.name,
                config.where("model_warmup"),
            )
            return
        signature = Signature(self.spec, max_rows=config.max_batch_size or None, tensors=self.tensors)
        limits = WarmupLimits(self.limits.startup_timeout_s, self.limits.max_mem_mib << 20)
        warm_up(config, folder, lambda inputs: run(signature.accept(inputs)[0]), run.stop, limits)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name


class Registry:
    """All models of this process.

    ``settings``: where they are read from; without them none can be read anew.
    """

    def __init__(self, models: Iterable[Model], settings: ModelsSettings | None = None) -> None:
        self._settings = settings
        self._models: dict[tuple[str, str], Model] = {}
        for name, versions in groupby(sorted(models, key=_name), _name):
            self.put(name, versions)

    @classmethod
    def load(cls, settings: ModelsSettings) -> Registry:
        """Load every version of every model; takes as long as ONNX Runtime needs.

        Raises:
            ModelError: for the first file or folder that cannot be served, by name.
        """
        providers = _providers(settings)
        with Rehearsal() as rehearsal:
            models = [
                model
                for folder in _folders(settings)
                for model in _load(folder, providers, settings, rehearsal)
            ]
        return cls(models, settings)

    def read(self, name: str) -> list[Model]:
        """Load every version of one model as it is on disk now; what is served does not change.

        Raises:
            ModelError: for the first file that cannot be served.
            GatewayError: NOT_FOUND when the repository has no such model.
        """
        settings = self._settings
        if settings is None or not _NAME.fullmatch(name) or not (Path(settings.repository) / name).is_dir():
            raise GatewayError(
                Fault.NOT_FOUND, f"failed to load '{printable(name)}', failed to poll from model repository"
            )
        with Rehearsal() as rehearsal:
            folder = Path(settings.repository) / name
            return list(_load(folder, _providers(settings), settings, rehearsal))

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


def _providers(settings: ModelsSettings) -> list[ProviderChoice]:
    available: list[str] = onnxruntime.get_available_providers()
    return choose_providers(settings.providers, available, settings.require)


def _folders(settings: ModelsSettings) -> list[Path]:
    repository = Path(settings.repository)
    folders = [path for path in _entries(repository) if path.is_dir()]
    folders = [path for path in folders if path.name[0] != "." and path.name != _MOUNT_POINT]
    if not folders:
        raise ModelError(f"{repository}: the model repository holds no model")
    for path in folders:
        if not _NAME.fullmatch(path.name):
            raise ModelError(f"{path}: a model's name must match {MODEL_NAME}")
    for name in (*settings.batching, *settings.limits):
        if name not in {path.name for path in folders}:
            raise ModelError(f"{repository}: the settings name '{name}', which is not among its models")
    return folders


def _load(
    folder: Path, providers: list[ProviderChoice], settings: ModelsSettings, rehearsal: Rehearsal
) -> Iterable[Model]:
    versions = sorted((path.name for path in _entries(folder) if _VERSION.fullmatch(path.name)), key=int)
    if not versions:
        raise ModelError(f"{folder}: holds no version; expected {folder.name}/1/model.onnx")
    limits = settings.limits.get(folder.name, _DEFAULTS)
    config = read_configuration(Path(settings.repository), folder)
    providers = instance_providers(config, providers, folder.name)
    for version in versions:
        path = folder / version / "model.onnx"
        content = _content(Path(settings.repository), path, limits)
        rehearsal.check(path, content, limits)
        session = Session(
            path,
            content,
            providers=providers,
            intra_op_threads=settings.intra_op_threads,
            max_mem_bytes=limits.max_mem_mib << 20,
        )
        if settings.require is not None:
            session.require(settings.require)
        spec = ModelSpec(folder.name, tuple(versions), PLATFORM, session.inputs, session.outputs)
        sequences = configured_sequences(config, spec, Path(settings.repository), folder)
        spec = without_hidden(spec, sequences, config)
        with named_from(folder):
            tensors = served_tensors(config, spec.inputs, spec.outputs)
            labels = read_labels(config, Path(settings.repository), folder)
        spec = replace(spec, inputs=tensors.inputs, outputs=tensors.outputs)
        model = Model(spec, version, session, limits, StuckRuns(), config, tensors, labels, sequences)
        with named_from(folder):
            model.warm_up(folder)
        yield model


@contextmanager
def named_from(folder: Path) -> Iterator[None]:
    """Name the folder of a model in whatever is wrong with its configuration."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{folder}/{error}") from error


def _content(repository: Path, path: Path, limits: ModelLimits) -> bytes:
    try:
        return read_within(repository, path, max_bytes=limits.max_file_mib << 20)
    except FileError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read: {error.strerror}") from error


_: type[Catalog] = Registry
