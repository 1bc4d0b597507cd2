"""The file that carries a proof: what it was measured on, and whether its numbers follow from each other."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from edge_models.bound import upper_bound
from edge_models.certify import DEFER_ALL, THRESHOLDS, Calibration, Named, is_useful
from edge_models.decision import Decision, Output, Task
from edge_models.files import FileError, read_within
from edge_models.inputs import ROWS, Input
from gateway.core.tensor import Array

Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]

MAX_BYTES: Final = 16 << 20
_PRECISION: Final = 1e-8
"""Relative: ``upper_bound`` on another machine, or scipy's, differs by less."""

_AGAIN: Final = (
    "it names neither its task nor its outputs, as certificates did before they had to: "
    "run `edgeway model certify` again"
)
_UNSEEN: Final = (
    "it does not say for which inputs it was measured, as certificates did before they had to: "
    "run `edgeway model certify` again"
)


class Certificate(Calibration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calibration, bound to the decision, the artefacts, the kernels and the sample for which it holds.

    ``task``, ``outputs``, ``left_out`` and ``score_output`` are those of a ``Decision``. ``inputs``: what the
    sample had; a request that has something else is not covered. ``provider``: ONNX Runtime's name of
    what ran the edge model. ``onnxruntime`` is the version that ran both models. ``created`` is ISO 8601 in
    UTC.
    """

    task: Task
    outputs: Annotated[tuple[Output, ...], msgspec.Meta(min_length=1)]
    left_out: tuple[Named, ...]
    score_output: str
    inputs: Annotated[tuple[Input, ...], msgspec.Meta(min_length=1)]
    model: Named
    edge_digest: Digest
    central_digest: Digest
    sample_digest: Digest
    instruction_set: Named
    provider: Named
    onnxruntime: Named
    created: Named

    @classmethod
    def of(cls, calibration: Calibration, decision: Decision, **bound: Any) -> Certificate:
        """Return what ``calibration`` proves of ``decision``, for the artefacts and the rest in ``bound``.

        Raises:
            ValueError: a field is out of its range, or contradicts another: it could not be loaded.
        """
        fields = {**msgspec.structs.asdict(calibration), **msgspec.structs.asdict(decision), **bound}
        try:
            made = msgspec.convert(fields, cls, from_attributes=True)
        except msgspec.ValidationError as error:
            raise ValueError(f"no certificate can say this: {error}") from error
        if problem := made.problem():
            raise ValueError(f"no certificate can say this: {problem}")
        return made

    def problem(self) -> str:
        """Return in a sentence which field contradicts another; empty: none."""
        if field := self.decision.problem():
            return f"`$.{field}` does not agree with the task and its outputs"
        if not _are_sound(self.inputs):
            return "`$.inputs` is nothing that a sample can have had"
        contrary = _unproven(self)
        return f"`$.{contrary}` does not agree with the other numbers" if contrary else ""

    @property
    def decision(self) -> Decision:
        """The decision that was certified: task, outputs, score and terms."""
        return Decision(
            task=self.task,
            outputs=self.outputs,
            left_out=self.left_out,
            score=self.score,
            score_output=self.score_output,
        )


def save_certificate(path: Path, certificate: Certificate) -> None:
    """Write ``certificate`` as JSON, whole or not at all; ``DEFER_ALL`` becomes null."""
    draft = path.with_name(path.name + ".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(certificate), indent=2) + b"\n")
    draft.replace(path)


def load_certificate(path: Path, *, within: Path | None = None) -> Certificate:
    """Read a certificate and check its arithmetic.

    ``within``: the folder in which it must lie, whatever links lead to it.

    Raises:
        ValueError: it cannot be read, a field is missing, unknown or wrong, or the numbers do not prove
            the bound that they claim. The message names the file and the field.
    """
    try:
        content = read_within(within, path, max_bytes=MAX_BYTES) if within is not None else path.read_bytes()
        fields: Any = msgspec.json.decode(content)
        if isinstance(fields, dict):
            if not fields.keys() & {"task", "outputs"} and "score" in fields:
                raise ValueError(f"certificate {path}: `$.task` is missing: {_AGAIN}")
            if "inputs" not in fields and "outputs" in fields:
                raise ValueError(f"certificate {path}: `$.inputs` is missing: {_UNSEEN}")
            if "threshold" in fields and fields["threshold"] is None:
                fields["threshold"] = DEFER_ALL  # JSON has no infinity
        loaded = msgspec.convert(fields, Certificate)
    except OSError as error:
        raise ValueError(f"certificate {path}: {error.strerror or 'cannot be read'}") from error
    except (FileError, msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"certificate {path}: {error}") from error
    if problem := loaded.problem():
        raise ValueError(f"certificate {path}: {problem}")
    return loaded


def mismatch(
    certificate: Certificate,
    *,
    edge_digest: str,
    central_digests: tuple[str, ...],
    instruction_set: str,
    onnxruntime: str,
    provider: str | None = None,
    model: str | None = None,
    max_alpha: float = 1.0,
    max_delta: float = 1.0,
    sample_digest: str | None = None,
) -> str | None:
    """Return the first field in which ``certificate`` differs from what serves, or None.

    Central's artefact must be one of ``central_digests``. The optional ones are compared where the caller
    has an opinion; None means that it has none. A certificate of more risk than ``max_alpha``, or of less
    confidence than ``1 - max_delta``, differs too.
    """
    expected = {
        "model": model,
        "edge_digest": edge_digest,
        "instruction_set": instruction_set,
        "provider": provider,
        "onnxruntime": onnxruntime,
        "sample_digest": sample_digest,
    }
    for field, value in expected.items():
        if value is not None and getattr(certificate, field) != value:
            return field
    if certificate.central_digest not in central_digests:
        return "central_digest"
    if certificate.alpha > max_alpha:
        return "alpha"
    return "delta" if certificate.delta > max_delta else None


def sample_digest(sample: Array | Mapping[str, Array]) -> str:
    """Return ``sha256:<hex>`` of an array's dtype, shape and little-endian row-major bytes.

    Of several named arrays it is that of their names and digests; one alone is an array.
    """
    if isinstance(sample, Mapping):
        if len(sample) == 1:
            return sample_digest(next(iter(sample.values())))
        lines = "".join(f"{sample_digest(sample[name])} {name}\n" for name in sorted(sample))
        return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
    little = sample.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{little.str}{sample.shape}".encode())
    digest.update(np.ascontiguousarray(sample, little).tobytes())
    return "sha256:" + digest.hexdigest()


def _are_sound(inputs: tuple[Input, ...]) -> bool:
    names = {given.name for given in inputs}
    return len(names) == len(inputs) and all(ROWS not in given.shape[1:] for given in inputs)


def _unproven(certificate: Certificate) -> str | None:
    """Return the field that contradicts the others, or None. Nothing is believed that can be computed."""
    c = certificate
    if c.threshold == DEFER_ALL:
        return next((field for field in ("k", "coverage", "upper_bound") if getattr(c, field)), None)
    accepted, honest = c.coverage * c.n, upper_bound(c.k, c.n, c.delta)
    follows = {
        "thresholds": c.thresholds == len(THRESHOLDS),
        "threshold": c.threshold in THRESHOLDS,
        "k": c.k <= c.n and is_useful(c.k, round(accepted), c.alpha, c.delta),
        # A share of n rows, the k wrong ones among them.
        "coverage": accepted > c.k - 0.5
        and math.isclose(accepted, round(accepted), abs_tol=_PRECISION * c.n),
        "upper_bound": c.upper_bound <= c.alpha and math.isclose(c.upper_bound, honest, rel_tol=_PRECISION),
    }
    return next((field for field, does in follows.items() if not does), None)
