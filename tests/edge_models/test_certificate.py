"""The file of a certificate: what it must hold, what must follow from what, and what it is compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edge_models.certificate import (
    Certificate,
    load_certificate,
    mismatch,
    sample_digest,
    save_certificate,
)
from edge_models.certify import DEFER_ALL, Calibration, certify, is_useful
from edge_models.decision import Decision
from edge_models.inputs import Input
from edge_models.tasks.classification import Multiclass
from tests.edge_models.test_certify import SCORES, WRONG, binary, calibrated

DECISION = Decision(
    task="multiclass",
    outputs=(Multiclass(name="probabilities", values="probabilities"),),
    left_out=(),
    score="max_probability",
    score_output="",
)


def bound(calibration: Calibration) -> Certificate:
    return Certificate.of(
        calibration,
        DECISION,
        inputs=(Input(name="image", shape=(-1, 784), digest=""),),
        model="digits",
        edge_digest="sha256:" + "1" * 64,
        central_digest="sha256:" + "2" * 64,
        sample_digest="sha256:" + "3" * 64,
        instruction_set="x86-avx2",
        provider="CPUExecutionProvider",
        onnxruntime="1.31.1",
        created="2026-11-21T00:00:00Z",
    )


def test_what_nobody_would_load_is_not_made() -> None:
    """A certificate that contradicts itself is refused where it is made, in the words of who loads it."""
    contrary = msgspec.structs.replace(DECISION, left_out=("probabilities",))
    fields = msgspec.structs.asdict(bound(calibrated()))
    own = {
        name: fields[name]
        for name in ("inputs", "model", "provider", "instruction_set", "onnxruntime", "created")
    }
    digests = {name: fields[name] for name in fields if name.endswith("_digest")}

    with pytest.raises(ValueError, match=r"no certificate can say this: `\$\.outputs` does not agree"):
        Certificate.of(calibrated(), contrary, **own, **digests)


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
        (lambda c: c.update(k=c["n"], upper_bound=1.0, coverage=1.0), r"\$\.k"),
        (lambda c: c.update(n=100, k=100, upper_bound=0.01, coverage=1.0), r"\$\.k"),
        (lambda c: c.update(coverage=c["coverage"] + 0.0005), r"\$\.coverage"),
        (lambda c: c.update(threshold=0.001), r"\$\.threshold"),
        (lambda c: c.update(thresholds=1), r"\$\.thresholds"),
        (lambda c: c.update(score="distance"), r"\$\.score"),
        (lambda c: c.update(score="spread"), r"\$\.score_output"),
        (lambda c: c.update(task="binary"), r"\$\.task"),
        (lambda c: c.update(left_out=["probabilities"]), r"\$\.outputs"),
        (lambda c: c.update(outputs=[]), r"\$\.outputs"),
        (lambda c: c.pop("outputs"), r"`outputs`"),
        (lambda c: c.pop("n"), r"`n`"),
        (lambda c: c.pop("threshold"), r"`threshold`"),
        (lambda c: c.update(coverage=-0.1), r"\$\.coverage"),
        (lambda c: c.update(upper_bound=-0.1), r"\$\.upper_bound"),
        (lambda c: c.update(alpha=-0.1), r"\$\.alpha"),
        (lambda c: c.update(delta=-0.1), r"\$\.delta"),
        (lambda c: c.update(k=-1), r"\$\.k"),
        (lambda c: c.pop("inputs"), r"\$\.inputs` is missing: .* run `edgeway model certify` again"),
        (lambda c: c.update(inputs=[]), r"\$\.inputs"),
        (lambda c: c["inputs"].append(c["inputs"][0]), r"\$\.inputs"),
        (lambda c: c["inputs"][0].update(shape=[1, -1]), r"\$\.inputs"),
        (lambda c: c["inputs"][0].update(shape=[-2]), r"\$\.inputs"),
        (lambda c: c["inputs"][0].update(digest="sha256:0"), r"\$\.inputs"),
        (lambda c: c["inputs"][0].update(shape=[10**400]), r"\$\.inputs"),
        (lambda c: c.update(k=10**400), r"\$\.k"),
        (lambda c: c.update(n=10**400), r"\$\.n"),
        (lambda c: c.update(alpha=10**400), r"\$\.alpha"),
        (lambda c: c.update(upper_bound=10**400), r"\$\.upper_bound"),
        (lambda c: c["outputs"][0].pop("values"), r"`values` - at `\$\.outputs\[0\]`"),
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


def test_a_certificate_of_before_says_to_certify_again(tmp_path: Path) -> None:
    """It told neither task nor outputs: whether it meant what it served cannot be known."""
    path = tmp_path / "digits.json"
    save_certificate(path, bound(calibrated()))
    fields = json.loads(path.read_bytes())
    for name in ("task", "outputs", "left_out", "score_output"):
        del fields[name]
    path.write_text(json.dumps(fields))

    with pytest.raises(ValueError, match=r"`\$\.task` is missing: .* run `edgeway model certify` again"):
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
    upper = float(stats.beta.ppf(1 - delta, k + 1, n - k))
    if upper >= 1 or not is_useful(k, n, upper, delta):
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
        "instruction_set",
        "onnxruntime",
        "model",
        "sample_digest",
        "provider",
    )
    same: dict[str, Any] = {name: getattr(certificate, name) for name in names}
    return same | {"central_digests": ("sha256:" + "f" * 64, certificate.central_digest)}


def test_what_it_was_made_for_matches() -> None:
    """Nothing differs where everything is as it was, with and without the optional fields."""
    certificate = bound(calibrated())
    everything = served(certificate)
    required = {name: value for name, value in everything.items() if name not in {"model", "sample_digest"}}

    assert mismatch(certificate, **everything) is None
    assert mismatch(certificate, **required) is None


@pytest.mark.parametrize("field", list(served(bound(calibrated()))))
def test_each_changed_field_is_refused_by_name(field: str) -> None:
    """One field that differs is enough, and it is named."""
    certificate = bound(calibrated())

    other: Any = ("other",) if field == "central_digests" else "other"

    assert mismatch(certificate, **{**served(certificate), field: other}) == field.removesuffix("s")


@pytest.mark.parametrize("field", ["alpha", "delta"])
def test_too_much_risk_is_refused(field: str) -> None:
    """A certificate is worth no more than its risk bound: one above the operator's limit does not count."""
    certificate = bound(calibrated())
    own = getattr(certificate, field)

    assert mismatch(certificate, **served(certificate), **{f"max_{field}": own}) is None
    assert mismatch(certificate, **served(certificate), **{f"max_{field}": own * 0.99}) == field


# Digests


def test_a_sample_is_named_by_its_content() -> None:
    """The digest covers dtype, shape and values, not the memory layout."""
    sample = np.arange(12, dtype=np.uint16).reshape(3, 4)

    assert sample_digest(sample) == sample_digest(np.asfortranarray(sample))
    assert sample_digest(sample) == sample_digest(sample.astype(">u2"))
    assert sample_digest(sample) != sample_digest(sample.reshape(4, 3))
    assert sample_digest(sample) != sample_digest(sample.astype(np.int16))
    assert sample_digest(sample) != sample_digest(sample[::-1])
    assert sample_digest({"image": sample}) == sample_digest(sample)
    assert sample_digest({"a": sample, "b": sample}) == sample_digest({"b": sample, "a": sample})
    assert sample_digest({"a": sample, "b": sample}) != sample_digest({"a": sample, "c": sample})
