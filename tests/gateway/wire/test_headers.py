"""Edgeway's headers: written by one gateway, read by the next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance
from gateway.wire.headers import (
    MAX_TIMEOUT_S,
    parse_provenance,
    parse_timeout_ms,
    provenance_value,
)

PROVENANCES = st.builds(
    Provenance,
    st.sampled_from(["edge", "central"]),
    st.booleans(),
    st.sampled_from(["", "l1", "l2"]),
    st.booleans(),
    st.just("eu-west"),
    st.just("sha256:ab"),
)


@pytest.mark.parametrize(
    ("provenance", "value"),
    [
        (Provenance("edge"), "edge"),
        (Provenance("central", certified=False), "central"),
        (Provenance("edge", feature_level="l3"), "edge;features=l3"),
        (Provenance("edge", level="l1"), "cache;level=l1;origin=edge"),
        (Provenance("edge", level="l1", feature_level="l3"), "cache;level=l1;origin=edge"),
        (Provenance("central", level="l2", stale=True), "cache;level=l2;origin=central;stale"),
    ],
)
def test_provenance_is_a_structured_field(provenance, value):
    """An origin, or a cache with its level and what had computed the answer."""
    assert provenance_value(provenance) == value


@given(PROVENANCES)
def test_provenance_round_trip(provenance):
    """The next gateway knows who computed an answer, whether it is certified and out of which cache it came."""
    certified = "true" if provenance.certified else "false"

    read = parse_provenance(provenance_value(provenance), certified, "sha256:ab", "eu-west")

    assert read is not None
    assert (read.origin, read.certified, read.region, read.digest) == (
        provenance.origin,
        provenance.certified,
        "eu-west",
        "sha256:ab",
    )
    assert read.stale == (provenance.stale and bool(provenance.level))
    assert read.level == (provenance.level and "l2" if provenance.level != "l1" else "l1")


@pytest.mark.parametrize(
    ("value", "features"), [("edge;features=l3", "l3"), ("edge;features=other", ""), ("edge", "")]
)
def test_where_features_were_held_is_read_back(value, features):
    """Of a level that is known: it may become a label."""
    read = parse_provenance(value, "true", "", "")

    assert read is not None
    assert (read.feature_level, read.origin) == (features, "edge")


@given(st.text(max_size=30))
def test_foreign_provenance(value):
    """Whatever a server says, it is read as Edgeway's words or not at all."""
    read = parse_provenance(value, "", "", "")

    assert read is None or read.origin in {"edge", "central"}


@pytest.mark.parametrize("value", ["", "cache", "cache;level=l1", "cache;origin=moon", ";", "EDGE"])
def test_no_provenance(value):
    """A header without a known origin tells nothing."""
    assert parse_provenance(value, "true", "", "") is None


@pytest.mark.parametrize(
    ("value", "seconds"), [("1500", 1.5), ("0.5", 0.0005), (" 20 ", 0.02), ("9" * 15, MAX_TIMEOUT_S)]
)
def test_timeout(value, seconds):
    """Milliseconds become seconds, a day at most."""
    assert parse_timeout_ms(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "0", "-5", "nan", "inf", "1e999", "soon", "1_000", "٣", "0x10"])
def test_bad_timeout(value):
    """Whatever is no positive decimal number is refused, and not repeated."""
    with pytest.raises(GatewayError, match="positive number of milliseconds") as caught:
        parse_timeout_ms(value)

    assert caught.value.fault is Fault.INVALID
