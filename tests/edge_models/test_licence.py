"""What a certificate allows, and when that ends."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from msgspec.structs import replace

from edge_models.licence import PATIENCE, QUIET_S, Artefacts, Licence
from gateway.core.request import Provenance, Response
from gateway.core.telemetry import CertificateRefused
from gateway.core.tensor import Tensor
from tests.edge_models.decisions import decision
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry


def licence(threshold: float | None = 0.9, telemetry=None, **fields) -> Licence:
    return Licence(
        "digits",
        decision=decision(),
        threshold=threshold,
        telemetry=telemetry or RecordingTelemetry(),
        artefacts=Artefacts(
            fields.pop("edge_digest", ""), fields.pop("central_digest", ""), fields.pop("listed", frozenset())
        ),
        **{"now": float, **fields},
    )


def scored(*rows: list[float], name: str = "probabilities", digest: str = "") -> Response:
    tensor = Tensor.from_numpy(name, np.array(rows, np.float32))
    return Response("digits", "1", (tensor,), Provenance("edge", certified=False, digest=digest))


@pytest.mark.parametrize(
    ("threshold", "rows", "covered"),
    [
        (0.5, [[0.5, 0.25]], True),
        (0.5, [[0.25, 0.25]], False),
        (0.5, [[0.75, 0.25], [0.25, 0.75]], True),
        (0.5, [[0.75, 0.25], [0.25, 0.25]], False),
        (0.5, [[np.nan, 0.75]], False),
        (0.5, [[0.75, np.nan]], False),
        (0.5, [[np.inf, 0.0]], False),
        (np.inf, [[1.0, 0.0]], False),
        (0.0, [[np.nan, np.nan]], False),
    ],
)
def test_every_row_must_reach_the_threshold(threshold, rows, covered):
    """At the threshold is enough; one unsure row defers all; NaN never reaches any."""
    assert licence(threshold).covers(scored(*rows)) is covered


@pytest.mark.parametrize(
    ("edge", "central", "differs"),
    [
        (scored([0.9, 0.1]), scored([0.6, 0.4]), False),
        (scored([0.9, 0.1]), scored([0.4, 0.6]), True),
        (scored([0.9, 0.1], [0.9, 0.1]), scored([0.9, 0.1], [0.1, 0.9]), True),
        (scored([0.9, 0.1]), scored([0.9, 0.1], [0.9, 0.1]), True),
        (scored([0.9, 0.1]), scored([0.9, 0.1], name="other"), True),
        (scored([0.9, 0.1], name="other"), scored([0.9, 0.1], name="other"), True),
    ],
)
def test_answers_differ_as_the_certificates_tasks_have_it(edge, central, differs):
    """Of one of several classes, in the likeliest; what cannot be compared differs."""
    assert licence().differs(edge, central) is differs


def test_a_score_below_the_threshold_is_not_rounded_up():
    """0.9 as a float32 lies below 0.9: comparing in float32 would let it pass."""
    subject = licence(0.9)

    assert float(np.float32(0.9)) < 0.9
    assert not subject.covers(scored([0.9, 0.1]))
    assert licence(float(np.float32(0.9))).covers(scored([0.9, 0.1]))


def test_an_answer_without_the_scored_output_is_not_covered():
    """Nothing to score, nothing to be sure of; likewise a score of another rank."""
    flat = Tensor.from_numpy("probabilities", np.ones(3, np.float32))

    assert not licence().covers(scored([1.0, 0.0], name="other"))
    assert not licence().covers(Response("digits", "1", (flat,), Provenance("edge")))


def test_another_artefact_is_not_covered():
    """The certificate names the digest of the edge model; another version of it has none."""
    subject = licence(edge_digest="sha256:aa")

    assert subject.covers(scored([1.0, 0.0], digest="sha256:aa"))
    assert not subject.covers(scored([1.0, 0.0], digest="sha256:bb"))


def test_without_a_threshold_there_is_no_licence(caplog):
    """The refusal is told once, at once, with the field that differed."""
    telemetry = RecordingTelemetry()

    with caplog.at_level(logging.WARNING):
        subject = licence(None, telemetry, refusal="instruction_set")

    assert not subject.is_valid()
    assert not subject.covers(scored([1.0, 0.0]))
    assert telemetry.events == [CertificateRefused("digits", "instruction_set")]
    assert [record.getMessage() for record in caplog.records] == [
        "certificate of model 'digits' refused (instruction_set): every request is deferred"
    ]
    assert repr(subject) == "<Licence digits refused>"


def test_another_central_model_suspends_the_licence_once(caplog):
    """The first answer with another digest suspends it; the second is not told again."""
    telemetry = RecordingTelemetry()
    subject = licence(0.9, telemetry, central_digest="sha256:aa")

    subject.compare(answer("central", digest="sha256:aa"), "")
    assert subject.is_valid()
    with caplog.at_level(logging.WARNING):
        subject.compare(answer("central", digest="sha256:bb"), "")
        subject.compare(answer("central", digest="sha256:bb"), "")

    assert not subject.is_valid()
    assert telemetry.events == [CertificateRefused("digits", "central_digest")]
    assert len(caplog.records) == 1
    assert repr(subject) == "<Licence digits from 0.9 suspended for version ['', '1']>"


def test_an_older_version_at_central_ends_the_licence_for_that_version_only():
    """A client that names a version must not switch the edge off for the others."""
    subject = licence(central_digest="sha256:aa")

    subject.compare(answer("central", digest="sha256:bb"), "1")

    assert not subject.is_valid("1")
    assert subject.is_valid("")


@pytest.mark.parametrize(
    ("expected", "answered"),
    [
        ("", answer("central", digest="sha256:bb")),
        ("sha256:aa", answer("central")),
        ("sha256:aa", answer("edge", digest="sha256:bb")),
    ],
    ids=["nothing expected", "nothing told", "another region's edge"],
)
def test_an_answer_that_says_nothing_about_central_changes_nothing(expected, answered):
    """Only a digest that central itself tells is evidence."""
    subject = licence(central_digest=expected)

    subject.compare(answered, "")

    assert subject.is_valid()
    assert repr(subject) == "<Licence digits from 0.9>"


def test_the_proof_changes_with_a_refusal() -> None:
    """What was kept under a certificate is not found any more once central turns out to be another."""
    made = licence(central_digest="sha256:c", proof="certificate")
    before = made.proof()

    made.compare(answer("central", digest="sha256:c"), "")
    assert made.proof() is before

    made.compare(answer("central", digest="sha256:d"), "")
    after = made.proof()
    made.compare(answer("central", digest="sha256:d"), "2")

    assert len({before, after, made.proof()}) == 3
    assert before == "certificate"


A, B, C = "sha256:aa", "sha256:bb", "sha256:cc"


def test_it_holds_again_once_central_answers_as_certified(caplog) -> None:
    """Central goes to another version and back: nobody has to do anything, and what was kept is found again."""
    changes: list[str] = []
    subject = licence(central_digest=A, proof="certificate", changed=lambda: changes.append(subject.reason()))

    subject.compare(answer("central", digest=B), "")
    assert (subject.is_valid(), subject.reason()) == (False, "central_digest")
    with caplog.at_level(logging.WARNING):
        subject.compare(answer("central", digest=A), "")

    assert (subject.is_valid(), subject.reason(), subject.proof()) == (True, "", "certificate")
    assert caplog.records[-1].getMessage() == (
        "certificate of model 'digits' holds again: central answers as certified"
    )
    assert changes == ["central_digest", ""]


def test_a_replica_that_the_route_names_suspends_nothing() -> None:
    """Of two artefacts side by side, the other one's answers are deferred requests, and no more than that."""
    subject = licence(central_digest=A, listed=frozenset({A, B}))

    for _ in range(50):
        subject.compare(answer("central", digest=B), "")
        subject.compare(answer("central", digest=A), "")
        assert subject.is_valid()


def test_where_only_the_replica_answers_the_certified_one_is_gone() -> None:
    """After so many answers in a row what is certified is not what central says any more, until it is again."""
    subject = licence(central_digest=A, listed=frozenset({A, B, C}))

    for number in range(PATIENCE):
        assert subject.is_valid()
        subject.compare(answer("central", digest=B if number % 2 else C), "")

    assert not subject.is_valid()
    subject.compare(answer("central", digest=A), "")
    assert subject.is_valid()


def test_what_is_served_is_what_decides() -> None:
    """By name whatever decides; by naming nothing all of it, unless central gives more than that."""
    whole = licence()
    part = Licence(
        "digits",
        decision=decision(exact=("label",), left_out=("map",)),
        threshold=0.9,
        telemetry=RecordingTelemetry(),
        now=float,
    )

    assert whole.served(()) == ("probabilities",)
    assert whole.served(("map",)) is None
    assert part.served(()) is None
    assert part.served(("probabilities", "label")) == ("probabilities", "label")
    assert part.served(("label", "map")) is None


def test_every_output_that_decides_must_be_there_and_sure() -> None:
    """An answer that lacks one is not covered; text beside a sure one is no obstacle."""
    subject = Licence(
        "digits",
        decision=decision(exact=("label",)),
        threshold=0.9,
        telemetry=RecordingTelemetry(),
        now=float,
    )
    label = Tensor.from_numpy("label", np.array(["seven"], object))
    sure = scored([0.95, 0.05])

    assert not subject.covers(sure)
    assert subject.covers(Response("digits", "1", (label, *sure.outputs), sure.provenance))
    assert not subject.covers(Response("digits", "1", (label, *scored([0.6, 0.4]).outputs), sure.provenance))


def test_two_artefacts_in_turn_do_not_fill_the_log(caplog) -> None:
    """Each change is counted; the log hears of the first, and of one again after a while."""
    time = [0.0]
    telemetry = RecordingTelemetry()
    subject = licence(0.9, telemetry, central_digest=A, now=lambda: time[0])

    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            subject.compare(answer("central", digest=B), "")
            subject.compare(answer("central", digest=A), "")
        assert len(caplog.records) == 2
        time[0] += QUIET_S
        subject.compare(answer("central", digest=B), "")

    assert len(caplog.records) == 3
    assert len(telemetry.of(CertificateRefused)) == 51


def test_who_names_an_older_version_raises_no_alarm() -> None:
    """It is deferred; the certificate holds for all others, and says so."""
    subject = licence(central_digest=A)

    subject.compare(replace(answer("central", digest=A), version="2"), "")
    subject.compare(answer("central", digest=B), "1")
    assert (subject.is_valid("1"), subject.is_valid(""), subject.reason()) == (False, True, "")

    subject.compare(replace(answer("central", digest=B), version="2"), "")
    assert subject.reason() == "central_digest"


@pytest.mark.parametrize("named", ["", "1"])
def test_both_names_of_a_version_are_suspended_and_hold_again(named: str) -> None:
    """Who named none was last answered by version 1: what is seen under either name goes for both."""
    subject = licence(central_digest=A)
    subject.compare(answer("central", digest=A), "1")
    subject.compare(answer("central", digest=A), "")

    subject.compare(answer("central", digest=B), named)
    assert (subject.is_valid("1"), subject.is_valid(""), subject.reason()) == (
        False,
        False,
        "central_digest",
    )

    subject.compare(answer("central", digest=A), named)
    assert (subject.is_valid("1"), subject.is_valid(""), subject.reason()) == (True, True, "")
