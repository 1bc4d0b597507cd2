"""The proof of a threshold: its arithmetic, its promise over many samples, and its file."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edge_models.certify import (
    DEFER_ALL,
    THRESHOLDS,
    Calibration,
    Certificate,
    certify,
    clopper_pearson_upper,
    digest_file,
    disagreement,
    load_certificate,
    mismatch,
    sample_digest,
    save_certificate,
)
from gateway.core.tensor import Array

ALPHA, DELTA = 0.02, 0.05
SCORES = np.linspace(0.999, 0.501, 1000)
WRONG = (np.arange(1000) >= 500) | (np.arange(1000) % 100 == 7)


def binary(scores: Array, wrong: Array) -> tuple[Array, Array]:
    """Return edge and central probabilities of two classes: max probability ``scores``, ``wrong`` differ."""
    edge = np.stack([scores, 1 - scores], axis=1)
    central = np.where(wrong[:, np.newaxis], [0.0, 1.0], [1.0, 0.0])
    return edge, central


def calibrated(**changes: Any) -> Calibration:
    """Return a calibration of 1000 rows: the surer half is nearly always right, the other never."""
    edge, central = binary(SCORES, WRONG)
    return certify(edge, central, **{"score": "max_probability", "alpha": ALPHA, "delta": DELTA, **changes})


def bound(calibration: Calibration) -> Certificate:
    return calibration.bind(
        model="digits",
        edge_digest="sha256:" + "1" * 64,
        central_digest="sha256:" + "2" * 64,
        sample_digest="sha256:" + "3" * 64,
        instruction_set="x86-avx2",
        onnxruntime="1.31.1",
        created="2026-11-21T00:00:00Z",
    )


# The bound


@given(n=st.integers(1, 5000), share=st.floats(0, 1), delta=st.floats(0.001, 0.5))
def test_the_bound_is_clopper_pearson(n: int, share: float, delta: float) -> None:
    """The upper bound equals scipy's exact binomial interval, and 1 when all were errors."""
    errors = int(share * n)

    upper = float(clopper_pearson_upper(np.array(errors), n, delta))

    oracle = 1.0 if errors == n else stats.beta.ppf(1 - delta, errors + 1, n - errors)
    assert upper == pytest.approx(oracle, rel=1e-9)
    if errors < n:
        assert stats.binom.cdf(errors, n, upper) == pytest.approx(delta, rel=1e-6)


@pytest.mark.parametrize(("alpha", "least"), [(0.02, 149), (0.01, 299), (0.005, 598), (0.002, 1497)])
def test_fewest_rows_that_prove_anything(alpha: float, least: int) -> None:
    """Without one error, ln(delta) / ln(1 - alpha) rows are needed; with one row less all is deferred."""
    scores = np.full(least, 0.9)
    edge, central = binary(scores, np.zeros(least, bool))

    enough = certify(edge, central, score="max_probability", alpha=alpha)
    too_few = certify(edge[1:], central[1:], score="max_probability", alpha=alpha)

    assert enough.threshold == THRESHOLDS[-1]
    assert enough.coverage == 1
    assert too_few.threshold == DEFER_ALL
    assert (too_few.coverage, too_few.k, too_few.upper_bound) == (0, 0, 0)


@pytest.mark.parametrize(("alpha", "most"), [(0.02, 29), (0.01, 12), (0.005, 4), (0.002, 0)])
def test_most_errors_among_2000(alpha: float, most: int) -> None:
    """With 2,000 rows a threshold passes up to a known number of errors and not with one more."""
    thresholds = [0.9]

    def threshold(errors: int) -> float:
        edge, central = binary(np.full(2000, 0.95), np.arange(2000) < errors)
        return certify(edge, central, score="max_probability", alpha=alpha, thresholds=thresholds).threshold

    assert threshold(most) == 0.9
    assert threshold(most + 1) == DEFER_ALL


# The walk


def test_the_walk_stops_at_the_first_failure() -> None:
    """Errors only add up as thresholds fall, so below the first that failed none is taken."""
    scores = np.r_[np.full(100, 0.95), np.full(1900, 0.6)]
    edge, central = binary(scores, np.arange(2000) < 60)
    n = len(scores)

    result = certify(edge, central, score="max_probability", thresholds=[0.99, 0.9, 0.5])

    assert result.threshold == 0.99
    assert float(clopper_pearson_upper(np.array(60), n, DELTA)) > ALPHA


def test_what_is_accepted_is_counted() -> None:
    """k, n, coverage and the bound are those of the chosen threshold."""
    result = calibrated()

    accepted = SCORES >= result.threshold

    assert result.coverage == accepted.mean()
    assert result.k == int((accepted & WRONG).sum())
    assert result.upper_bound == pytest.approx(stats.beta.ppf(0.95, result.k + 1, 1000 - result.k))
    assert result.upper_bound <= ALPHA
    assert (result.n, result.thresholds, result.score) == (1000, 100, "max_probability")


def test_rows_that_tie_with_the_threshold_are_accepted() -> None:
    """A score equal to the threshold counts as accepted, as it is when serving."""
    edge, central = binary(np.full(200, 0.75), np.zeros(200, bool))

    result = certify(edge, central, score="max_probability", thresholds=[0.8, 0.75])

    assert result.threshold == 0.75
    assert result.coverage == 1


def test_tied_errors_fall_together() -> None:
    """Many rows of one score are accepted or deferred as one: none of their errors slips through."""
    edge, central = binary(np.full(1000, 0.75), np.arange(1000) < 500)

    result = certify(edge, central, score="max_probability", thresholds=[0.8, 0.75, 0.7])

    assert result.threshold == 0.8
    assert result.coverage == 0


@pytest.mark.parametrize("ill", [math.nan, math.inf, -math.inf])
def test_ill_rows_of_the_edge_defer(ill: float) -> None:
    """A row of NaN or infinity is never covered, so it cannot count as an error either."""
    edge, central = binary(np.full(1000, 0.9), np.zeros(1000, bool))
    edge[:400, 0] = ill

    result = certify(edge, central, score="max_probability")

    assert result.coverage == 0.6
    assert result.k == 0


def test_ill_rows_of_central_count_as_errors() -> None:
    """Central's NaN names no class, so the edge cannot be said to agree with it."""
    edge, central = binary(np.full(1000, 0.9), np.zeros(1000, bool))
    central[:400] = math.nan

    assert disagreement(edge, central).sum() == 400
    assert certify(edge, central, score="max_probability").coverage == 0


def test_the_grid_is_frozen() -> None:
    """One hundred falling thresholds in (0, 1), the same text on every platform, dense near 1."""
    assert len(THRESHOLDS) == 100
    assert all(one > two for one, two in pairwise(THRESHOLDS))
    assert THRESHOLDS[0] == 0.999999168
    assert THRESHOLDS[-1] == 0.047425873
    assert sum(0.9 < threshold for threshold in THRESHOLDS) > 50


# The promise


HARDEST = THRESHOLDS[70]


def draw(chance: np.random.Generator, n: int, factor: float) -> tuple[Array, Array]:
    """Draw scores, and errors that come ``factor`` times as often as the scores say."""
    scores = 0.5 + 0.5 * chance.beta(2.0, 0.5, n)
    return scores, chance.random(n) < factor * (1 - scores)


def naive(scores: Array, wrong: Array) -> float:
    """Return the lowest threshold of the grid whose empirical risk is within alpha."""
    safe = [t for t in THRESHOLDS if (wrong & (scores >= t)).mean() <= ALPHA]
    return min(safe, default=DEFER_ALL)


def test_the_promise_holds_over_500_calibrations_and_the_naive_rule_breaks_it() -> None:
    """Over many samples the risk exceeds alpha in at most a share delta of them, with binomial slack.

    The errors are scaled until one threshold of the grid is a hair's breadth too risky: the hardest case.
    """
    chance = np.random.default_rng(20261121)
    scores, _ = draw(chance, 1_000_000, 1.0)
    expected = {t: float(((1 - scores) * (scores >= t)).mean()) for t in (*THRESHOLDS, DEFER_ALL)}
    factor = 1.001 * ALPHA / expected[HARDEST]
    risk = {t: factor * share for t, share in expected.items()}
    trials, broken, naively_broken, coverage = 500, 0, 0, 0.0

    for _ in range(trials):
        sample = draw(chance, 2000, factor)
        result = certify(*binary(*sample), score="max_probability", alpha=ALPHA, delta=DELTA)
        broken += risk[result.threshold] > ALPHA
        naively_broken += risk[naive(*sample)] > ALPHA
        coverage += result.coverage / trials

    assert broken <= stats.binom.ppf(0.999, trials, DELTA)
    assert naively_broken > 6 * DELTA * trials
    assert coverage > 0.5


def test_the_promise_is_not_kept_by_being_idle() -> None:
    """Where the true risk at the lowest threshold is far below alpha, everything is covered."""
    chance = np.random.default_rng(7)
    scores = chance.uniform(0.5, 1, 2000)

    result = certify(*binary(scores, chance.random(2000) < 0.005), score="max_probability")

    assert result.coverage == 1


# Arguments


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": "softness"}, "unknown score 'softness': choose one of max_probability, margin, entropy"),
        ({"alpha": 0.0}, "alpha and delta must lie between 0 and 1"),
        ({"delta": 1.0}, "alpha and delta must lie between 0 and 1"),
        ({"alpha": math.nan}, "alpha and delta must lie between 0 and 1"),
        ({"thresholds": [0.5, 0.9]}, "thresholds must descend"),
        ({"thresholds": [0.5, 0.5]}, "thresholds must descend"),
        ({"thresholds": []}, "thresholds must descend"),
    ],
)
def test_senseless_terms_are_refused(change: dict[str, Any], message: str) -> None:
    """A term outside its range is a ValueError that says what is allowed."""
    with pytest.raises(ValueError, match=message):
        calibrated(**change)


@pytest.mark.parametrize("shapes", [((5, 2), (4, 2)), ((5, 2), (5, 3)), ((5,), (5,)), ((0, 2), (0, 2))])
def test_unlike_samples_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Both models must have answered the same rows with the same classes."""
    with pytest.raises(ValueError, match="must have one shape"):
        certify(np.zeros(shapes[0]), np.zeros(shapes[1]), score="margin")


def test_without_scipy_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certifying without scipy says what to install."""
    monkeypatch.setitem(sys.modules, "scipy.special", None)

    with pytest.raises(ValueError, match=r"edgeway\[models\]"):
        calibrated()


def test_reading_needs_no_scipy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A serving process reads certificates without the extra."""
    save_certificate(tmp_path / "c.json", bound(calibrated()))
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.special", None)

    assert load_certificate(tmp_path / "c.json").model == "digits"


# The file


@pytest.mark.parametrize("n", [1000, 100])
def test_a_certificate_survives_its_file(tmp_path: Path, n: int) -> None:
    """What was saved is what is loaded, the threshold that defers all included."""
    edge, central = binary(SCORES[:n], WRONG[:n])
    written = bound(certify(edge, central, score="max_probability"))

    save_certificate(tmp_path / "c.json", written)

    assert load_certificate(tmp_path / "c.json") == written
    assert (written.threshold == DEFER_ALL) == (n == 100)
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.pop("edge_digest"), "edge_digest"),
        (lambda c: c.update(colour="red"), "colour"),
        (lambda c: c.update(threshold="0.5"), "threshold"),
        (lambda c: c.update(threshold=-0.1), "threshold"),
        (lambda c: c.update(n=0), r"\$\.n"),
        (lambda c: c.update(alpha=1.0), r"\$\.alpha"),
        (lambda c: c.update(coverage=1.2), r"\$\.coverage"),
        (lambda c: c.update(model=""), r"\$\.model"),
        (lambda c: c.update(central_digest="md5:00"), r"\$\.central_digest"),
        (lambda c: c.update(instruction_set=None), r"\$\.instruction_set"),
        (lambda c: c.update(score="softness"), r"\$\.score"),
        (lambda c: c.update(k=c["k"] + 1), r"\$\.upper_bound"),
        (lambda c: c.update(k=c["n"] + 1), r"\$\.k"),
        (lambda c: c.update(k=c["n"], upper_bound=1.0, coverage=1.0), r"\$\.upper_bound"),
        (lambda c: c.update(n=c["n"] * 2), r"\$\.upper_bound"),
        (lambda c: c.update(delta=0.01), r"\$\.upper_bound"),
        (lambda c: c.update(alpha=0.001), r"\$\.upper_bound"),
        (lambda c: c.update(upper_bound=0.0), r"\$\.upper_bound"),
        (lambda c: c.update(coverage=0.0), r"\$\.coverage"),
        (lambda c: c.update(threshold=None), r"\$\.k"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, change: Change, named: str) -> None:
    """A field that is missing, unknown, out of range or at odds with the others is named, with the file."""
    path = tmp_path / "digits.json"
    save_certificate(path, bound(calibrated()))
    fields = json.loads(path.read_bytes())
    change(fields)
    path.write_text(json.dumps(fields))

    with pytest.raises(ValueError, match=rf"digits\.json: .*{named}"):
        load_certificate(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"threshold": NaN}'])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no certificate is named."""
    path = tmp_path / "digits.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"certificate .*digits\.json: "):
        load_certificate(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No file is a ValueError as well, with the reason."""
    with pytest.raises(ValueError, match=r"digits\.json: No such file"):
        load_certificate(tmp_path / "digits.json")


@given(k=st.integers(0, 60), n=st.integers(61, 20000), delta=st.floats(0.001, 0.3))
def test_every_honest_certificate_is_accepted(
    tmp_path_factory: pytest.TempPathFactory, k: int, n: int, delta: float
) -> None:
    """The check of the arithmetic never refuses what scipy computed."""
    upper = float(clopper_pearson_upper(np.array(k), n, delta))
    if upper >= 1:
        return
    honest = msgspec.structs.replace(
        bound(calibrated()), k=k, n=n, delta=delta, upper_bound=upper, alpha=upper, coverage=1.0
    )
    path = tmp_path_factory.mktemp("certificates") / "c.json"

    save_certificate(path, honest)

    assert load_certificate(path) == honest


# The comparison


def served(certificate: Certificate) -> dict[str, Any]:
    """Return what a process that the certificate holds for would compare it with."""
    names = (
        "edge_digest",
        "central_digest",
        "score",
        "instruction_set",
        "onnxruntime",
        "model",
        "sample_digest",
    )
    return {name: getattr(certificate, name) for name in names}


def test_what_it_was_made_for_matches() -> None:
    """Nothing differs where everything is as it was, with and without the optional fields."""
    certificate = bound(calibrated())
    everything = served(certificate)
    required = {name: everything[name] for name in list(everything)[:5]}

    assert mismatch(certificate, **everything) is None
    assert mismatch(certificate, **required) is None


@pytest.mark.parametrize("field", list(served(bound(calibrated()))))
def test_each_changed_field_is_refused_by_name(field: str) -> None:
    """One field that differs is enough, and it is named."""
    certificate = bound(calibrated())

    assert mismatch(certificate, **{**served(certificate), field: "other"}) == field


@pytest.mark.parametrize("field", ["alpha", "delta"])
def test_too_much_risk_is_refused(field: str) -> None:
    """A certificate is worth no more than its risk bound: one above the operator's limit does not count."""
    certificate = bound(calibrated())
    own = getattr(certificate, field)

    assert mismatch(certificate, **served(certificate), **{f"max_{field}": own}) is None
    assert mismatch(certificate, **served(certificate), **{f"max_{field}": own * 0.99}) == field


# Digests


def test_a_file_and_a_sample_are_named_by_their_content(tmp_path: Path) -> None:
    """Digests are SHA-256; a sample's covers dtype, shape and values, not the memory layout."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"abc")
    sample = np.arange(12, dtype=np.uint16).reshape(3, 4)

    assert digest_file(path) == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sample_digest(sample) == sample_digest(np.asfortranarray(sample))
    assert sample_digest(sample) == sample_digest(sample.astype(">u2"))
    assert sample_digest(sample) != sample_digest(sample.reshape(4, 3))
    assert sample_digest(sample) != sample_digest(sample.astype(np.int16))
    assert sample_digest(sample) != sample_digest(sample[::-1])
