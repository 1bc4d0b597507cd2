"""The proof that a cascade threshold is safe, and the file that carries it.

The risk is the share of all requests that the edge answers otherwise than central would:
``R(t) = P(score >= t and edge != central)``. It needs no labels, it only grows as t falls, and the
cascade's accuracy is at least central's minus R(t).

The threshold comes from Learn-then-Test with a fixed sequence (Angelopoulos et al., arXiv 2110.01052):
walk down a grid of thresholds that was fixed before any data were seen; at each, test R(t) > alpha by
the exact one-sided Clopper-Pearson bound; stop at the first that fails and keep the last that passed.
Because the walk stops at the first failure, every test may spend the whole delta, and
``P(R(chosen) > alpha) <= delta``. Taking instead the lowest threshold whose *empirical* risk is within
alpha breaks the promise about every second time.

Only ``certify`` needs scipy. Reading a certificate needs none, and yet checks that its numbers prove
what they claim.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from edge_models.confidence import MEASURES
from gateway.core.tensor import Array

DEFER_ALL: Final = math.inf
"""The threshold that no score reaches: nothing could be proven, so central answers everything."""

_GRID_SIZE: Final = 100
_GRID_LOGITS: Final = (14.0, -3.0)


def _grid() -> tuple[float, ...]:
    first, last = _GRID_LOGITS
    step = (last - first) / (_GRID_SIZE - 1)
    return tuple(round(1.0 / (1.0 + math.exp(-(first + step * i))), 9) for i in range(_GRID_SIZE))


THRESHOLDS: Final = _grid()
"""The frozen, descending grid: even steps of log-odds, from 0.999999 to 0.047.

Scores of trained models crowd towards 1, so even steps of the score itself would leave nothing to choose
from where most rows are. The grid depends on no sample: choosing it by one would void the proof.
"""

Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Level = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Named = Annotated[str, msgspec.Meta(min_length=1)]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What one sample proves.

    ``threshold``: the edge answers when its score is at least this. ``n``: rows in the sample.
    ``k``: those that the edge answers otherwise than central. ``coverage``: share that the edge answers.
    ``upper_bound``: of the risk, with confidence 1 - ``delta``. ``thresholds``: size of the grid.
    """

    score: Named
    threshold: Annotated[float, msgspec.Meta(ge=0)]
    alpha: Level
    delta: Level
    n: Annotated[int, msgspec.Meta(ge=1)]
    k: Count
    coverage: Share
    upper_bound: Share
    thresholds: Annotated[int, msgspec.Meta(ge=1)]

    def bind(
        self,
        *,
        model: str,
        edge_digest: str,
        central_digest: str,
        sample_digest: str,
        instruction_set: str,
        onnxruntime: str,
        created: str,
    ) -> Certificate:
        """Return the certificate: this calibration, and what it was measured on."""
        return Certificate(
            **msgspec.structs.asdict(self),
            model=model,
            edge_digest=edge_digest,
            central_digest=central_digest,
            sample_digest=sample_digest,
            instruction_set=instruction_set,
            onnxruntime=onnxruntime,
            created=created,
        )


class Certificate(Calibration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calibration, bound to the artefacts, the kernels and the sample for which it holds.

    ``onnxruntime`` is the version that ran both models. ``created`` is ISO 8601 in UTC.
    """

    model: Named
    edge_digest: Digest
    central_digest: Digest
    sample_digest: Digest
    instruction_set: Named
    onnxruntime: Named
    created: Named


def certify(
    edge_probabilities: Array,
    central_probabilities: Array,
    *,
    score: str,
    alpha: float = 0.02,
    delta: float = 0.05,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Calibration:
    """Find the lowest threshold that is proven safe on a sample of requests.

    Args:
        edge_probabilities: ``[n, classes]``, by the very artefact that will serve.
        central_probabilities: ``[n, classes]``, of the same rows.
        score: a key of ``MEASURES``.
        alpha: the most risk allowed.
        delta: the chance, over samples, that the risk is larger nevertheless.
        thresholds: descending, chosen without looking at this sample.

    Returns:
        The calibration; its threshold is ``DEFER_ALL`` when not even the first of the grid passes.

    Raises:
        ValueError: an argument makes no sense.
    """
    grid = np.asarray(thresholds, dtype=np.float64)
    _check(edge_probabilities, central_probabilities, score, (alpha, delta))
    if grid.size == 0 or not np.all(np.diff(grid) < 0):
        raise ValueError("thresholds must descend, and there must be at least one")

    n = len(edge_probabilities)
    accepted = MEASURES[score](edge_probabilities)[:, np.newaxis] >= grid
    wrong = accepted & disagreement(edge_probabilities, central_probabilities)[:, np.newaxis]
    errors = np.count_nonzero(wrong, axis=0)
    bounds = clopper_pearson_upper(errors, n, delta)
    failures = np.flatnonzero(bounds > alpha)
    last = (int(failures[0]) if failures.size else grid.size) - 1
    none = last < 0

    return Calibration(
        score=score,
        threshold=DEFER_ALL if none else float(grid[last]),
        alpha=alpha,
        delta=delta,
        n=n,
        k=0 if none else int(errors[last]),
        coverage=0.0 if none else float(accepted[:, last].mean()),
        upper_bound=0.0 if none else float(bounds[last]),
        thresholds=int(grid.size),
    )


def disagreement(edge_probabilities: Array, central_probabilities: Array) -> Array:
    """Return ``bool [n]``: the classes differ, or central's row is not finite and names none."""
    differ: Array = edge_probabilities.argmax(axis=1) != central_probabilities.argmax(axis=1)
    return differ | ~np.isfinite(central_probabilities).all(axis=1)


def clopper_pearson_upper(errors: Array, n: int, delta: float) -> Array:
    """Return the exact one-sided upper bound of a proportion seen ``errors`` times in ``n``.

    It is the p at which ``P(Binomial(n, p) <= errors) = delta``: the 1 - delta quantile of
    Beta(errors + 1, n - errors), and 1 when all were errors.
    """
    betaincinv = _betaincinv()
    errors = np.asarray(errors)
    rest = np.maximum(n - errors, 1)  # of no effect but where the answer is 1 anyway
    return np.where(errors >= n, 1.0, betaincinv(errors + 1, rest, 1.0 - delta))


def save_certificate(path: Path, certificate: Certificate) -> None:
    """Write ``certificate`` as JSON, whole or not at all; ``DEFER_ALL`` becomes null."""
    draft = path.with_name(path.name + ".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(certificate), indent=2) + b"\n")
    draft.replace(path)


def load_certificate(path: Path) -> Certificate:
    """Read a certificate and check its arithmetic.

    Raises:
        ValueError: it cannot be read, a field is missing, unknown or wrong, or the numbers do not prove
            the bound that they claim. The message names the file and the field.
    """
    try:
        fields: Any = msgspec.json.decode(path.read_bytes())
        if isinstance(fields, dict) and "threshold" in fields and fields["threshold"] is None:
            fields["threshold"] = DEFER_ALL  # JSON has no infinity
        loaded = msgspec.convert(fields, Certificate)
    except OSError as error:
        raise ValueError(f"certificate {path}: {error.strerror or 'cannot be read'}") from error
    except msgspec.MsgspecError as error:
        raise ValueError(f"certificate {path}: {error}") from error
    field = _unproven(loaded)
    if field:
        raise ValueError(f"certificate {path}: `$.{field}` does not agree with the other numbers")
    return loaded


def mismatch(
    certificate: Certificate,
    *,
    edge_digest: str,
    central_digest: str,
    score: str,
    instruction_set: str,
    onnxruntime: str,
    model: str | None = None,
    max_alpha: float = 1.0,
    max_delta: float = 1.0,
    sample_digest: str | None = None,
) -> str | None:
    """Return the first field in which ``certificate`` differs from what serves, or None.

    The optional ones are compared where the caller has an opinion; None means that it has none. A
    certificate of more risk than ``max_alpha``, or of less confidence than ``1 - max_delta``, differs too.
    """
    expected: dict[str, str | float | None] = {
        "model": model,
        "edge_digest": edge_digest,
        "central_digest": central_digest,
        "score": score,
        "instruction_set": instruction_set,
        "onnxruntime": onnxruntime,
        "sample_digest": sample_digest,
    }
    for field, value in expected.items():
        if value is not None and getattr(certificate, field) != value:
            return field
    if certificate.alpha > max_alpha:
        return "alpha"
    return "delta" if certificate.delta > max_delta else None


def digest_file(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def sample_digest(images: Array) -> str:
    """Return ``sha256:<hex>`` of an array's dtype, shape and little-endian row-major bytes."""
    little = images.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{little.str}{images.shape}".encode())
    digest.update(np.ascontiguousarray(images, little).tobytes())
    return "sha256:" + digest.hexdigest()


def _check(edge: Array, central: Array, score: str, levels: tuple[float, float]) -> None:
    if score not in MEASURES:
        raise ValueError(f"unknown score '{score}': choose one of {', '.join(MEASURES)}")
    if edge.ndim != 2 or edge.shape != central.shape or edge.size == 0:
        raise ValueError(
            "edge and central probabilities must have one shape [n, classes], with n and classes at least 1;"
            f" got {list(edge.shape)} and {list(central.shape)}"
        )
    if not all(0 < level < 1 for level in levels):
        raise ValueError("alpha and delta must lie between 0 and 1")


def _unproven(certificate: Certificate) -> str | None:
    """Return the field that contradicts the others, or None."""
    c = certificate
    if c.score not in MEASURES:
        return "score"
    if c.threshold == DEFER_ALL:
        return "k" if c.k else None
    if c.k > c.n:
        return "k"
    if c.coverage * c.n < c.k - 0.5:
        return "coverage"
    tail = _binomial_cdf(c.k, c.n, c.upper_bound)
    if c.upper_bound > c.alpha or not math.isclose(tail, c.delta if c.k < c.n else 1.0, rel_tol=1e-6):
        return "upper_bound"
    return None


def _binomial_cdf(k: int, n: int, p: float) -> float:
    """Return P(Binomial(n, p) <= k), by a sum of logarithms that scipy is not needed for."""
    if p in {0.0, 1.0}:
        return float(p == 0.0 or k >= n)
    log_p, log_q, log_n = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    return math.fsum(
        math.exp(log_n - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q)
        for i in range(k + 1)
    )


def _betaincinv() -> Any:
    try:
        from scipy.special import betaincinv  # noqa: PLC0415 - only certifying needs it, serving does not
    except ImportError as error:
        raise ValueError("certifying needs scipy: install the extra `models`, edgeway[models]") from error
    return betaincinv
