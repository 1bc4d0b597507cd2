"""The headers that travel along with a trace, in whatever lines they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.trace_context import ALL, combined, fit, names_of, taken_request_id, trace_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01")
B3 = ("b3", f"{TRACE}-b7ad6b7169203331-1")
MULTI = (("x-b3-traceid", TRACE), ("x-b3-spanid", "b7ad6b7169203331"), ("x-b3-sampled", "1"))


def states(*values: str) -> tuple[tuple[str, str], ...]:
    return tuple(("tracestate", value) for value in values)


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (("one=1", "two=2"), "one=1,two=2"),
        (("a=1,b=2", "c=3"), "a=1,b=2,c=3"),
        ((" a=1 , b=2\t", "", "c=3,"), "a=1,b=2,c=3"),
        (("a=1",), "a=1"),
        (("a=1", "b=2", "c=3"), "a=1,b=2,c=3"),
    ],
)
def test_lines_of_tracestate_are_one_list(lines: tuple[str, ...], state: str) -> None:
    """In their order: proxies add lines of their own."""
    assert combined((PARENT, *states(*lines))) == (PARENT, ("tracestate", state))
    assert dict(combined((*states(*lines), PARENT))) == dict((PARENT, ("tracestate", state)))


def test_a_parent_given_twice_is_none() -> None:
    """Nobody can tell which is meant, so a new trace begins, without the state of the old."""
    assert combined((PARENT, PARENT)) == ()
    assert combined((PARENT, *states("a=1"), ("traceparent", "00-ab"), ("baggage", "k=v"))) == (
        ("baggage", "k=v"),
    )


def test_a_state_without_a_parent_means_nothing() -> None:
    """Nor does one that is empty."""
    assert combined(states("a=1")) == ()
    assert combined((PARENT, *states("", ","))) == (PARENT,)


def test_too_many_members_are_cut_at_the_end() -> None:
    """The first are the newest."""
    members = [f"k{number}=v" for number in range(40)]

    _, (_, kept) = combined((PARENT, *states(",".join(members[:20]), ",".join(members[20:]))))

    assert kept.split(",") == members[:32]


def test_a_state_that_is_too_long_loses_long_members_first() -> None:
    """Whole ones, of more than 128 characters first; then from the end."""
    short, long = [f"key{number:02}=" + "v" * 33 for number in range(13)], "long=" + "x" * 200

    _, (_, kept) = combined((PARENT, *states(long, ",".join(short))))

    assert len(kept) <= 512
    assert kept.split(",") == short[:12]
    _, (_, small) = combined((PARENT, *states(long, ",".join(short[:5]))))
    assert small.split(",") == [long, *short[:5]]


@given(st.lists(st.text("ab=, \t1", max_size=300), max_size=12))
def test_a_combined_state_is_within_its_limits(lines: list[str]) -> None:
    """Whatever comes."""
    kept = dict(combined((PARENT, *states(*lines)))).get("tracestate", "")

    assert len(kept) <= 512
    assert len(kept.split(",")) <= 32


def test_lines_of_baggage_are_one_list() -> None:
    """Without a parent, too: it is no part of the trace."""
    assert combined((("baggage", "a=1;p=2"), ("baggage", " b=2 , c=3"))) == (("baggage", "a=1;p=2,b=2,c=3"),)


def test_baggage_is_within_its_limits() -> None:
    """64 members and 8192 bytes, whole members only."""
    many = ("baggage", ",".join(f"k{number}=v" for number in range(100)))
    large = tuple(("baggage", f"k{number}=" + "v" * 1000) for number in range(10))

    assert len(dict(combined((many,)))["baggage"].split(",")) == 64
    kept = dict(combined(large))["baggage"]
    assert (len(kept) <= 8192, kept.count(",") + 1) == (True, 8)
    assert combined((("baggage", "k=" + "v" * 9000),)) == ()


def test_b3_goes_on_in_both_forms() -> None:
    """Beside W3C's headers and alone."""
    assert combined((B3,)) == (B3,)
    assert combined((PARENT, *MULTI)) == (PARENT, *MULTI)


@pytest.mark.parametrize("twice", [B3, *MULTI])
def test_b3_given_twice_says_nothing(twice: tuple[str, str]) -> None:
    """And then none of the set does."""
    found = combined((PARENT, B3, *MULTI, twice))

    assert twice[0] not in dict(found)
    assert PARENT in found
    if twice != B3:
        assert not {name for name, _ in MULTI} & set(dict(found))


@pytest.mark.parametrize(
    ("parent", "state", "left"),
    [("00-ab", "a=1", 2), ("00-ab", "a=\u00e9", 1), ("00-ab", "a=\t", 1), ("00-\u00e9", "a=1", 0)],
)
def test_what_cannot_stand_on_the_wire_is_left_out(parent: str, state: str, left: int) -> None:
    """The state without the parent means nothing."""
    trace = (("traceparent", parent), ("tracestate", state))

    assert fit(trace) == trace[:left]


@pytest.mark.parametrize(
    ("found", "named"),
    [
        ((PARENT,), TRACE),
        ((B3,), TRACE),
        (MULTI, TRACE),
        ((("traceparent", "garbage"), B3), TRACE),
        ((("traceparent", "garbage"),), ""),
        ((("b3", "0"),), ""),
        ((), ""),
    ],
)
def test_a_trace_has_one_id_in_every_form(found: tuple[tuple[str, str], ...], named: str) -> None:
    """The one that the log names."""
    assert trace_id(found) == named


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        (["a-1"], "a-1"),
        (["x" * 128], "x" * 128),
        (["x" * 129], ""),
        ([], ""),
        ([""], ""),
        (["a", "a"], ""),
        (["caf\u00e9"], ""),
        (["a\tb"], ""),
        (["a\x7fb"], ""),
    ],
)
def test_an_id_is_taken_or_replaced(values: list[str], taken: str) -> None:
    """What cannot be written in a log, or is two, is as if there were none."""
    assert taken_request_id(values) == taken


def test_propagators_name_their_headers() -> None:
    """All of them by default."""
    assert names_of(["baggage", "b3"]) == ("baggage", "b3")
    assert len(names_of(ALL)) == 9
