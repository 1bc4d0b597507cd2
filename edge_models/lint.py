"""All that a gateway would say about a model when it loads it, and what else its exporter should know."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from edge_models.configuration.model_configuration import FILE_NAME
from edge_models.configuration.remarks import Remark, RemarksError, Severity
from edge_models.errors import ForeignModelError, ModelError
from edge_models.model_folder import FolderReader, Model
from edge_models.registry import check_name, is_central_only, model_folders
from edge_models.rehearsal import Rehearsal
from edge_models.session import CPU
from edge_models.settings import ModelsSettings
from edge_models.split_session import HEAD_FILE, SplitSession
from edge_models.tasks.probabilities import SUM_TOLERANCE, are_probabilities
from edge_models.version_folders import entries, versions_in
from gateway.core.catalog import TensorSpec
from gateway.core.errors import GatewayError
from gateway.core.tensor import BYTES, DATATYPES, Array

_ADVICE: Final = (
    ("till opset", "export it for an older operator set (PyTorch: opset_version, skl2onnx: target_opset)"),
    ("IR version", "save it with an older onnx, or set model.ir_version before saving"),
    ("is not a registered function/op", "operators of one's own are not loaded into a gateway"),
    ("seq(map", "export it anew with zipmap off, as the message says"),
    ("keeps weights in other files", "put them beside the model file, or save it as one file"),
    ("holds no version", "make a folder 1 and move the file there"),
)
_FLOATS: Final = ("FP16", "FP64")
_MOST_ITEMS: Final = 1 << 22
_MODEL_FILE: Final = "model.onnx"


def lint(path: Path) -> list[tuple[Path, Remark]]:
    """Return what there is to say about the model folder ``path``, or each of a repository: folder, remark.

    Raises:
        ModelError: ``path`` is neither.
    """
    if path.name in {"", ".."}:
        path = path.resolve()
    if path.is_file() or (path / _MODEL_FILE).is_file():
        raise ModelError(f"{path}: is not a model's folder, in which 1/{_MODEL_FILE} lies: give that")
    is_model = (path / FILE_NAME).exists() or bool(versions_in(path))
    root = path.parent if is_model else path
    settings = ModelsSettings(repository=str(root))
    folders = [path] if is_model else [each for each in model_folders(settings) if not is_central_only(each)]
    with Rehearsal() as rehearsal:
        return [
            (folder, remark) for folder in folders for remark in _folder(folder, root, settings, rehearsal)
        ]


def _folder(folder: Path, root: Path, settings: ModelsSettings, rehearsal: Rehearsal) -> list[Remark]:
    found: list[Remark] = []
    reader = FolderReader(root, [CPU], settings, rehearsal, lambda _model, remark: found.append(remark))
    try:
        check_name(folder)
        models = reader.read(folder)
    except RemarksError as error:
        return [*found, *error.remarks]
    except ModelError as error:
        severity: Severity = "warning" if isinstance(error, ForeignModelError) else "error"
        return [*found, _remark_of(folder, str(error), severity)]
    for model in models:
        found += _advice(model)
    return list(dict.fromkeys(found))


def _remark_of(folder: Path, message: str, severity: Severity) -> Remark:
    """Return an error's message as a remark about the file with which it begins."""
    where, rest = ".", message.removeprefix(f"{folder}: ")
    if message.startswith(f"{folder}/"):
        where, _, rest = message.removeprefix(f"{folder}/").partition(": ")
    advice = next((what for words, what in _ADVICE if words in message), "")
    if "holds no version" in message and any(versions_in(each) for each in entries(folder) if each.is_dir()):
        advice = f"it is a repository of models itself: `edgeway model lint {shlex.quote(str(folder))}`"
    return Remark(severity, where, f"{rest}; {advice}" if advice else rest)


def _advice(model: Model) -> Iterator[Remark]:
    where, session = f"{model.version}/model.onnx", model.session
    if model.config is not None and model.config.default_model_filename:
        where = f"{model.version}/{model.config.default_model_filename}"
    if isinstance(session, SplitSession):
        where = f"{model.version}/{HEAD_FILE}"
    if not session.batchable and model.config is None:
        yield Remark(
            "warning",
            where,
            "the first dimension of its inputs and outputs is not one free dimension, so each request runs "
            "alone: export it with dynamic_axes={name: {0: 'batch'}} for each of them (PyTorch), or with "
            "[None, ...] in initial_types (skl2onnx)",
        )
    for spec in session.outputs:
        if spec.datatype in _FLOATS:
            yield Remark(
                "warning",
                where,
                f"output '{spec.name}' is {spec.datatype}: clients mostly read FP32; cast it in the model",
            )
    yield _suitability(model, where)


def _suitability(model: Model, where: str) -> Remark:
    scores = _scores(model)
    if scores:
        named = ", ".join(f"'{name}'" for name in scores)
        sentence = f"output {named} holds probabilities: `edgeway model certify` can prove a threshold for it"
        return Remark("note", where, sentence)
    return Remark(
        "note",
        where,
        "no output holds probabilities of classes for a row of zeros or empty texts: for a cascade give "
        "`edgeway model certify` what it holds (--values logits, or another task), or serve it at one tier",
    )


def _nothing(spec: TensorSpec, shape: list[int]) -> Array:
    return (
        np.full(shape, b"", object) if spec.datatype == BYTES else np.zeros(shape, DATATYPES[spec.datatype])
    )


def _scores(model: Model) -> list[str]:
    """Return the outputs that are probabilities for a row of nothing; none where that cannot be tried."""
    inputs = model.session.inputs
    shapes = {spec.name: [max(1, size) for size in spec.shape] for spec in inputs}
    if sum(map(math.prod, shapes.values())) > _MOST_ITEMS:
        return []
    names = [spec.name for spec in model.session.outputs if spec.datatype == "FP32" and len(spec.shape) == 2]
    feed = {spec.name: _nothing(spec, shapes[spec.name]) for spec in inputs}
    try:
        answers = model.session.run(feed, names) if names else []
    except GatewayError:
        return []
    return [
        name
        for name, answer in zip(names, answers, strict=True)
        if answer.shape[-1] > 1
        and are_probabilities(answer)
        and abs(float(answer[0].sum()) - 1) <= SUM_TOLERANCE
    ]
