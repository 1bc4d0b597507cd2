"""Messages between neighbours: whose they are, and for whom."""

from __future__ import annotations

import pytest
from blake3 import blake3

from cache.warming.messages import OFFER, VALUES, WINDOW_S, Signer, fits

OURS, THEIRS = Signer(b"a" * 32), Signer(b"b" * 32)
ROUTE = ("here", "there", OFFER)
NOW = 1_700_000_000.0
BODY = b"keys"


def test_a_message_is_known_by_its_head() -> None:
    """And its body by what the head says of it."""
    digest = OURS.digest_of(ROUTE, OURS.sign(ROUTE, BODY, NOW), NOW + 1)

    assert digest == blake3(BODY).hexdigest()
    assert fits(BODY, digest) and not fits(b"keyz", digest)
    assert repr(OURS) == "<Signer>"


@pytest.mark.parametrize(
    ("signer", "route", "later_s"),
    [
        (THEIRS, ROUTE, 0),
        (OURS, ("here", "elsewhere", OFFER), 0),
        (OURS, ("elsewhere", "there", OFFER), 0),
        (OURS, ("here", "there", VALUES), 0),
        (OURS, ROUTE, WINDOW_S + 1),
        (OURS, ROUTE, -WINDOW_S - 1),
    ],
)
def test_another_secret_way_purpose_or_time_is_no_signature(
    signer: Signer, route: tuple[str, str, str], later_s: float
) -> None:
    assert OURS.digest_of(ROUTE, signer.sign(route, BODY, NOW), NOW + later_s) is None


@pytest.mark.parametrize(
    "header",
    ["", "..", "1.2.3", f"-1.{'0' * 64}.{'0' * 64}", f"{'9' * 40}.{'0' * 64}.{'0' * 64}", "1.é.é", "²." * 3],
)
def test_what_is_no_header_is_refused(header: str) -> None:
    """Without an error, whatever it is."""
    assert OURS.digest_of(ROUTE, header, NOW) is None


def test_a_changed_header_is_refused() -> None:
    header = OURS.sign(ROUTE, BODY, NOW)
    later = header.replace("1700", "1701", 1)
    assert OURS.digest_of(ROUTE, later, NOW) is None


def test_an_answer_is_one_to_its_question() -> None:
    """Of whoever has the secret."""
    question, other = OURS.sign(ROUTE, BODY, NOW), OURS.sign(ROUTE, BODY, NOW + 1)
    signature = OURS.sign_answer(question, b"answer")

    assert OURS.is_answer(question, b"answer", signature)
    assert not OURS.is_answer(question, b"other", signature)
    assert not OURS.is_answer(other, b"answer", signature)
    assert not OURS.is_answer(question, b"answer", THEIRS.sign_answer(question, b"answer"))
    assert not OURS.is_answer(question, b"answer", "é")
