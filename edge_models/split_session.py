"""A model in two files, loaded: the backbone's outputs, which may be kept, and the head that takes them.

`features.onnx` and `head.onnx` stand in a version's folder in place of `model.onnx`. What is served, and
certified, is both: the digest is that of the two together, and that of no whole model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge_models.errors import ModelError
from edge_models.session import CPU, ModelSession, ProviderChoice, Session
from edge_models.settings import Provider
from gateway.core.catalog import TensorSpec
from gateway.core.errors import printable
from gateway.core.tensor import BYTES, Array

FEATURES_FILE: Final = "features.onnx"
HEAD_FILE: Final = "head.onnx"
_DIGEST_VERSION: Final = b"edgeway split 1\n"


class SplitSession:
    """Two sessions that together are one model; it is used as a ``Session`` is.

    ``features``: the backbone. ``head``: what takes its outputs, and perhaps inputs of the model as they are.
    ``batchable``: both are. ``digest``: of both.

    Raises:
        ModelError: they do not fit one another; the message begins with ``folder``.
    """

    def __init__(self, folder: Path, features: Session, head: Session) -> None:
        self.features, self.head = features, head
        self._folder = folder
        made = {spec.name: spec for spec in features.outputs}
        given = {spec.name: spec for spec in features.inputs}
        for spec in head.inputs:
            other = made.get(spec.name) or given.setdefault(spec.name, spec)
            _check_same(folder, spec, other)
        _check_kept(folder, features, {spec.name for spec in head.inputs})
        self.passed = tuple(spec.name for spec in head.inputs if spec.name not in made)
        self.inputs = tuple(given.values())
        self.outputs: tuple[TensorSpec, ...] = head.outputs
        self.batchable = features.batchable and head.batchable
        self.defaults: tuple[TensorSpec, ...] = ()
        self.metadata: Mapping[str, str] = head.metadata
        self.providers: tuple[str, ...] = head.providers
        digests = f"{features.digest}\n{head.digest}".encode()
        self.digest = f"sha256:{hashlib.sha256(_DIGEST_VERSION + digests).hexdigest()}"
        self._taken = [spec.name for spec in features.inputs]
        self._made = [spec.name for spec in features.outputs]

    def __repr__(self) -> str:
        return f"<SplitSession {self._folder} {self.digest[:19]}: {', '.join(self._made)}>"

    def serve(self, outputs: Sequence[str] = (), *, batchable: bool) -> None:
        """Be ``batchable`` or not, and give these outputs in this order: so a model's configuration says."""
        self.head.serve(outputs, batchable=batchable)
        self.batchable = batchable

    def require(self, provider: Provider) -> None:
        """Check that both parts really run on ``provider``.

        Raises:
            ProviderError: when one does not.
        """
        self.features.require(provider)
        self.head.require(provider)

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] = (), options: Any = None
    ) -> list[Array]:
        """Run both parts in this thread and return ``outputs``, or all that are served, in their order.

        Raises:
            GatewayError: as ``Session.run``.
        """
        made = self.features.run(self.for_features(inputs), self._made, options)
        return self.head.run(
            self.for_head(inputs, dict(zip(self._made, made, strict=True))), outputs, options
        )

    def for_features(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return those of ``inputs`` that the backbone takes."""
        return {name: inputs[name] for name in self._taken if name in inputs}

    def for_head(self, inputs: Mapping[str, Array], features: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the head takes: ``features``, and those of ``inputs`` that are passed to it."""
        return {**features, **{name: inputs[name] for name in self.passed if name in inputs}}


def open_model(path: Path, providers: Sequence[ProviderChoice] = (CPU,)) -> ModelSession:
    """Return the session of a model's file, or of a folder with the two files of one.

    Raises:
        ModelError: names the file.
    """
    if not path.is_dir():
        return Session(path, providers=providers)
    parts = [Session(path / name, providers=providers) for name in (FEATURES_FILE, HEAD_FILE)]
    return SplitSession(path, *parts)


def is_split(folder: Path, *, whole: Path) -> bool:
    """Whether a version's ``folder`` holds a model in two files; ``whole``: where that in one would be.

    Raises:
        ModelError: it holds one of the two, or a whole model as well.
    """
    found = [name for name in (FEATURES_FILE, HEAD_FILE) if (folder / name).is_file()]
    if not found:
        return False
    if whole.exists():
        raise ModelError(
            f"{folder}: holds {whole.name} and {' and '.join(found)}, and only one of them can be what is "
            "served, and what a certificate is about: take the other away"
        )
    if len(found) == 1:
        missing = HEAD_FILE if found[0] == FEATURES_FILE else FEATURES_FILE
        raise ModelError(f"{folder}: holds {found[0]} but no {missing}: a model in two files needs both")
    return True


def _check_kept(folder: Path, features: Session, taken: set[str]) -> None:
    for spec in features.outputs:
        name = printable(spec.name)
        if spec.datatype == BYTES:
            raise ModelError(
                f"{folder / FEATURES_FILE}: '{name}' holds texts, and features are numbers: cut the model "
                "where its texts have become some"
            )
        if spec.name not in taken:
            raise ModelError(
                f"{folder / HEAD_FILE}: does not take '{name}', which {FEATURES_FILE} makes: both files are "
                "to be of one cut; heads of one backbone take the same tensors"
            )


def _check_same(folder: Path, wanted: TensorSpec, other: TensorSpec) -> None:
    fits = len(wanted.shape) == len(other.shape) and all(
        one == two or min(one, two) < 0 for one, two in zip(wanted.shape, other.shape, strict=True)
    )
    if wanted.datatype != other.datatype or not fits:
        raise ModelError(
            f"{folder / HEAD_FILE}: takes '{printable(wanted.name)}' as {_form(wanted)}, but "
            f"{FEATURES_FILE} has it as {_form(other)}: both files are to be of one cut"
        )


def _form(spec: TensorSpec) -> str:
    return f"{spec.datatype} {list(spec.shape)}"


_: tuple[type[ModelSession], type[ModelSession]] = (SplitSession, Session)
