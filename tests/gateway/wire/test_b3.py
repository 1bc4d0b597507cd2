"""B3's two forms say the same."""

from __future__ import annotations

import pytest

from gateway.wire.b3 import Ids, read, written

TRACE, SPAN = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1"
BOTH = (int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize(
    ("value", "is_sampled"),
    [
        (f"{TRACE}-{SPAN}-1", True),
        (f"{TRACE}-{SPAN}-d", True),
        (f"{TRACE}-{SPAN}-0", False),
        (f"{TRACE}-{SPAN}", False),
        (f"{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90", True),
        (f"{TRACE}-{SPAN}-1".upper().replace("D", "d"), True),
    ],
)
def test_one_header(value: str, is_sampled: bool) -> None:
    """Trace, span, and whether it is recorded."""
    assert read({"b3": value}) == (*BOTH, is_sampled)


@pytest.mark.parametrize(
    ("more", "is_sampled"),
    [
        ({"x-b3-sampled": "1"}, True),
        ({"x-b3-sampled": "true"}, True),
        ({"x-b3-sampled": "0"}, False),
        ({"x-b3-flags": "1"}, True),
        ({"x-b3-flags": "0"}, False),
        ({}, False),
    ],
)
def test_one_header_each(more: dict[str, str], is_sampled: bool) -> None:
    """As Envoy and Zipkin's own clients send it."""
    assert read({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, **more}) == (*BOTH, is_sampled)


def test_short_ids_are_long_ones_with_noughts() -> None:
    """Zipkin's first traces had 64 bits."""
    short = TRACE[16:]

    assert read({"b3": f"{short}-{SPAN}-1"}) == (int(short, 16), BOTH[1], True)
    assert read({"x-b3-traceid": short, "x-b3-spanid": SPAN}) == (int(short, 16), BOTH[1], False)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"b3": "0"},
        {"b3": "1"},
        {"b3": f"{TRACE}-"},
        {"b3": f"{TRACE[:31]}-{SPAN}-1"},
        {"b3": f"{TRACE}-{SPAN}-2"},
        {"b3": f"{TRACE}-{SPAN}-1\n"},
        {"b3": f"{'0' * 32}-{SPAN}-1"},
        {"b3": f"{TRACE}-{'0' * 16}-1"},
        {"x-b3-traceid": TRACE},
        {"x-b3-traceid": TRACE, "x-b3-spanid": "xyz"},
        {"x-b3-traceid": f"{TRACE}0", "x-b3-spanid": SPAN},
        {"x-b3-traceid": "\u0661" * 32, "x-b3-spanid": SPAN},
    ],
)
def test_what_names_no_span(found: dict[str, str]) -> None:
    """Neither a decision alone nor what is no id."""
    assert read(found) is None


def test_the_single_header_counts_first() -> None:
    """As OpenTelemetry has it, where both are there."""
    other = {"x-b3-traceid": "1" * 32, "x-b3-spanid": "2" * 16}

    assert read({"b3": f"{TRACE}-{SPAN}-1", **other}) == (*BOTH, True)


@pytest.mark.parametrize("is_sampled", [True, False])
def test_written_is_read_again(is_sampled: bool) -> None:
    """In the forms that were there, and in no others."""
    ids = Ids(*BOTH, is_sampled)
    single, multi = written({"b3": "0"}, ids), written({"x-b3-sampled": "1"}, ids)

    assert (set(single), set(multi)) == ({"b3"}, {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled"})
    assert read(single) == read(multi) == ids
    assert written({"traceparent": "00"}, ids) == {}
