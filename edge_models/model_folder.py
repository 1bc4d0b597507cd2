"""One folder of the model repository: read, checked against its configuration, and loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from edge_models.configuration.completion import GraphSignature, complete, disagreements, specs_of
from edge_models.configuration.instances import instance_providers, instance_remarks
from edge_models.configuration.labels import read_labels
from edge_models.configuration.model_configuration import ALL_VERSIONS, ModelConfiguration
from edge_models.configuration.reading import read_configuration
from edge_models.configuration.remarks import BACKEND, PLATFORM, Remark, RemarksError, remarks
from edge_models.configuration.scheduling import Scheduling, scheduling_of
from edge_models.configuration.served_tensors import ServedTensors, served_tensors
from edge_models.configuration.session_parameters import SessionParameters, session_parameters
from edge_models.configuration.warmup import WarmupLimits, warm_up
from edge_models.enrich_file import check_enriched, read_enriched
from edge_models.errors import ForeignModelError, ModelError
from edge_models.executors import StuckRuns
from edge_models.model_files import read_model_files
from edge_models.rehearsal import Rehearsal
from edge_models.sequences.configured import configured_sequences, without_hidden
from edge_models.sequences.first_step import first_step
from edge_models.sequences.settings import SequenceSettings
from edge_models.session import ModelSession, ProviderChoice, Session, StoppableRun
from edge_models.settings import BatchingSettings, ModelLimits, ModelsSettings
from edge_models.signature import Signature
from edge_models.split_session import FEATURES_FILE, HEAD_FILE, SplitSession, is_split
from edge_models.version_folders import entries, version_remarks, versions_in
from gateway.core.catalog import ModelSpec
from gateway.core.errors import printable
from gateway.core.tensor import Tensor

_MODEL_FILE: Final = "model.onnx"
_FOREIGN_FILES: Final = {
    "model.py": "python",
    "model.plan": "tensorrt",
    "model.pt": "pytorch",
    "model.savedmodel": "tensorflow",
    "model.graphdef": "tensorflow",
    "model.xml": "openvino",
    "model.dali": "dali",
    "model.json": "vllm",
}
_MOST_NAMED: Final = 20
_MOST_PATH: Final = 200
_MOST_MESSAGE: Final = 1000
_DEFAULTS: Final = ModelLimits()
_BATCHING: Final = BatchingSettings()
_log = logging.getLogger("edge_models.repository")


@dataclass(frozen=True, slots=True)
class Model:
    """One version of one model, loaded.

    ``stuck``: its runs that do not end, whatever was done.
    ``config``: what its `config.pbtxt` says, with what the graph adds; None where there is none.
    ``sequences``: how its sequences are run (the graph has more inputs than ``spec``); None: it has none.
    ``tensors``: what its graph has in another shape than clients do; None: nothing.
    ``labels``: output → the names of its classes, in their order.
    """

    spec: ModelSpec
    version: str
    session: ModelSession
    limits: ModelLimits = _DEFAULTS
    stuck: StuckRuns = field(default_factory=StuckRuns)
    config: ModelConfiguration | None = None
    sequences: SequenceSettings | None = None
    tensors: ServedTensors | None = None
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    def scheduling(self, entry: BatchingSettings | None) -> Scheduling:
        """Return how requests for it are scheduled; ``entry``: what the settings say about it.

        Raises:
            ModelError: naming the line of its configuration.
        """
        return scheduling_of(self.config, entry, batchable=self.session.batchable)

    def warm_up(self, folder: Path) -> None:
        """Run what its configuration orders to be run before anybody's request; ``folder`` is the model's.

        Raises:
            ModelError: it failed, or took too long.
        """
        config, run = self.config, StoppableRun(self.session)
        if config is None:
            return
        signature = Signature(self.spec, max_rows=config.max_batch_size or None, tensors=self.tensors)
        limits = WarmupLimits(self.limits.startup_timeout_s, self.limits.max_mem_mib << 20)

        def answer(inputs: Sequence[Tensor]) -> object:
            feed, rows = signature.accept(inputs)
            return run(feed if self.sequences is None else {**feed, **first_step(self.sequences, rows)})

        warm_up(config, folder, answer, run.stop, limits)


@contextmanager
def _named_from(folder: Path) -> Iterator[None]:
    """Name the folder of a model in whatever is wrong with its configuration."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{folder}/{printable(str(error), _MOST_MESSAGE)}") from error


def _log_remark(model: str, remark: Remark) -> None:
    _log.warning("model %s: %s", model, remark)


@dataclass(frozen=True, slots=True)
class FolderReader:
    """Reads the folders of one repository.

    Attributes:
        root: what no link of a folder may lead out of.
        report: is called with each remark that is no error.
    """

    root: Path
    providers: list[ProviderChoice]
    settings: ModelsSettings
    rehearsal: Rehearsal
    report: Callable[[str, Remark], None] = _log_remark

    def read(self, folder: Path, config: ModelConfiguration | None = None) -> list[Model]:
        """Load the versions of ``folder`` that are to be served.

        ``config``: what holds in place of its `config.pbtxt`.

        Raises:
            ForeignModelError: another backend runs it.
            ModelError: the first thing that is wrong, by file, and by line in its configuration.
        """
        try:
            return self._read(folder, config)
        except OSError as error:
            file = printable(error.filename or "", _MOST_PATH)
            raise ModelError(f"{folder}: {file} cannot be read: {error.strerror}") from error

    def _read(self, folder: Path, config: ModelConfiguration | None) -> list[Model]:
        versions = versions_in(folder)
        config = config if config is not None else read_configuration(self.root, folder)
        refuse_foreign(folder, config, versions)
        if not versions:
            raise ModelError(f"{folder}: holds no version; expected {folder.name}/1/model.onnx")
        found = list(version_remarks(folder, versions, config))
        self._sort_out(folder, found if config is None else [*found, *self._remarks(folder, config)])
        policy = config.version_policy if config is not None else ALL_VERSIONS
        chosen = policy.choose(tuple(map(int, versions)))
        if not chosen and config is not None:
            raise ModelError(
                f"{folder}/{config.where('version_policy')}: at least one version must be available under "
                f"the version policy of model '{folder.name}'; there are {', '.join(versions[-_MOST_NAMED:])}"
            )
        names = tuple(map(str, chosen))
        enriched = read_enriched(self.root, folder)
        models = [self._load(folder, version, names, config) for version in names]
        for model in models:
            check_enriched(folder, enriched, model.spec)
        return models

    def _remarks(self, folder: Path, config: ModelConfiguration) -> Iterator[Remark]:
        yield from remarks(config)
        yield from instance_remarks(config, self.providers, self.settings.threads)
        if config.name not in {"", folder.name}:
            sentence = (
                f"unexpected directory name '{folder.name}' for model '{printable(config.name)}', directory "
                "name must equal model name"
            )
            yield Remark("error", config.where("name"), sentence)

    def _sort_out(self, folder: Path, found: list[Remark]) -> None:
        """Report what is no error.

        Raises:
            RemarksError: with all errors.
        """
        errors = [remark for remark in found if remark.severity == "error"]
        if errors:
            raise RemarksError(folder, errors)
        for remark in found:
            self.report(folder.name, remark)

    def _load(
        self, folder: Path, version: str, versions: tuple[str, ...], config: ModelConfiguration | None
    ) -> Model:
        name, settings = folder.name, self.settings
        limits = settings.limits.get(name, _DEFAULTS)
        with _named_from(folder):
            parameters = session_parameters(config)
        session = self._open(folder, version, config, parameters)
        if settings.require is not None:
            session.require(settings.require)
        inputs, outputs = session.inputs, session.outputs
        if config is not None:
            config = self._completed(folder, config, session)
            is_batched = config.max_batch_size > 0
            session.serve(batchable=is_batched)
            # Steps of sequences need all that the graph has, in its order.
            if config.sequence_batching is None:
                inputs = specs_of(config.inputs, is_batched=is_batched)
                outputs = specs_of(config.outputs, is_batched=is_batched)
                session.serve([each.name for each in outputs], batchable=is_batched)
        spec = ModelSpec(name, versions, PLATFORM, inputs, outputs)
        sequences = configured_sequences(config, spec, self.root, folder)
        spec = without_hidden(spec, sequences, config)
        with _named_from(folder):
            tensors = served_tensors(config, spec.inputs, spec.outputs)
            labels = read_labels(config, self.root, folder)
            spec = replace(spec, inputs=tensors.inputs, outputs=tensors.outputs)
            model = Model(spec, version, session, limits, StuckRuns(), config, sequences, tensors, labels)
            model.scheduling(settings.batching.get(name))  # so that this folder is refused, and no other
            model.warm_up(folder)
        return model

    def _open(
        self,
        folder: Path,
        version: str,
        config: ModelConfiguration | None,
        parameters: SessionParameters,
    ) -> ModelSession:
        path = model_file(folder, version, config)
        named = config.default_model_filename if config is not None else ""
        # What the configuration names is in one file.
        if named not in {"", _MODEL_FILE} or not is_split(folder / version, whole=path):
            return self._open_file(folder.name, path, config, parameters)
        parts = [
            self._open_file(folder.name, folder / version / part, config, parameters)
            for part in (FEATURES_FILE, HEAD_FILE)
        ]
        return SplitSession(folder / version, *parts)

    def _open_file(
        self, model: str, path: Path, config: ModelConfiguration | None, parameters: SessionParameters
    ) -> Session:
        settings = self.settings
        limits = settings.limits.get(model, _DEFAULTS)
        files = read_model_files(self.root, path, max_bytes=limits.max_file_mib << 20)
        self.rehearsal.check(path, files, limits)
        return Session(
            path,
            files,
            providers=instance_providers(config, self.providers),
            intra_op_threads=settings.intra_op_threads,
            max_mem_bytes=limits.max_mem_mib << 20,
            parameters=parameters,
        )

    def _completed(
        self, folder: Path, config: ModelConfiguration, session: ModelSession
    ) -> ModelConfiguration:
        graph = GraphSignature(session.inputs, session.outputs, session.defaults)
        default = self.settings.batching.get(folder.name, _BATCHING).max_batch_size
        config = complete(config, graph, default)
        self._sort_out(folder, list(disagreements(config, graph, folder.name)))
        return config


def model_file(folder: Path, version: str, config: ModelConfiguration | None) -> Path:
    """Return the path of a version's file, which may be in a folder of that name.

    Raises:
        ModelError: the configuration names one elsewhere.
    """
    name = (config.default_model_filename if config is not None else "") or _MODEL_FILE
    parts = PurePosixPath(name)
    if config is not None and (parts.is_absolute() or ".." in parts.parts or not name.isprintable()):
        where = config.where("default_model_filename")
        raise ModelError(f"{folder}/{where}: default_model_filename must be a file of the version's folder")
    path = folder / version / parts
    within = path / _MODEL_FILE
    return within if within.exists() else path


def refuse_foreign(folder: Path, config: ModelConfiguration | None, versions: list[str]) -> None:
    """Check that a model is ONNX Runtime's.

    Raises:
        ForeignModelError: it is another backend's.
    """
    where, named = str(folder), ""
    if config is not None and config.message.HasField("ensemble_scheduling"):
        where, named = f"{folder}/{config.where('ensemble_scheduling')}", "ensemble"
    elif config is not None and config.backend not in {"", BACKEND}:
        where, named = f"{folder}/{config.where('backend')}", config.backend
    elif config is not None and config.platform not in {"", PLATFORM}:
        where, named = f"{folder}/{config.where('platform')}", config.platform
    elif config is None or not (config.default_model_filename or config.backend or config.platform):
        found = {path.name for version in versions for path in entries(folder / version)}
        if _MODEL_FILE not in found:
            named = next((backend for name, backend in _FOREIGN_FILES.items() if name in found), "")
    if named:
        is_ours = any((folder / version / _MODEL_FILE).is_file() for version in versions)
        hint = (
            f" (ONNX Runtime's have the backend '{BACKEND}', or the platform '{PLATFORM}')" if is_ours else ""
        )
        raise ForeignModelError(
            f"{where}: a model of the backend '{printable(named)}' does not run here{hint}; leave it to the "
            "central Triton that has it, by a route of the policy, and take it out of this repository"
        )
