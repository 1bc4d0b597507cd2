"""NaN and infinity in JSON: read by name, and nothing else is changed."""

from __future__ import annotations

import json
import math
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.oip.json_nan import NAMED, as_literals, with_texts

TEXTS = st.text(st.sampled_from('N"\\\\aI[],:{} nfity-'), max_size=12) | st.sampled_from(
    ["NaN", ",NaN,", "[Infinity]"]
)
VALUES = st.recursive(
    st.floats() | st.integers(-9, 9) | TEXTS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


def named(value):
    """The value with NaN and infinity as texts, as they are read."""
    if isinstance(value, list):
        return [named(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value


@given(st.lists(VALUES, max_size=4), st.sampled_from([None, 1]))
def test_what_python_writes_is_read(values, indent):
    """Names among elements become texts, whatever texts and lists are around them."""
    written = json.dumps({"data": values, "NaN": ["[NaN]"]}, indent=indent).encode()

    found = with_texts(written)

    assert found is not None
    assert msgspec.json.decode(found) == {"data": named(values), "NaN": ["[NaN]"]}


@pytest.mark.parametrize("text", [b"[Inf]", b"[-Inf,-Infinity]", b"[ -NaN ]"])
def test_what_triton_reads_is_read(text):
    """Its parser takes two names for infinity, and a sign for each."""
    found = with_texts(text)

    assert found is not None
    assert all(name in NAMED for name in msgspec.json.decode(found))


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":NaN}',
        b"NaN",
        b"[nan]",
        b"[NaNs]",
        b"[+NaN]",
        b"[--NaN]",
        b"[1NaN]",
        b'["NaN',
        b'"\\',
        b"[Infin]",
    ],
)
def test_names_elsewhere_stay(text):
    """A parameter that is NaN, and what only looks like one, is refused as it was."""
    assert with_texts(text) in {text, None}


def test_bodies_without_names_are_not_searched():
    """Nor copied: they are broken in another way."""
    assert with_texts(b'{"data":[1,2') is None


@pytest.mark.parametrize(
    "body",
    [
        b"NaN" + b'"' + rb"\"" * 30_000,
        b"NaN" + b'"' + rb"\"" * 30_000 + b"\\",
        b"NaN" + b"[" * 60_000,
        b"NaN[" + b" " * 60_000,
        b"NaN" + b",  -" * 15_000,
        b"[" + b"NaN " * 15_000,
    ],
)
def test_nothing_is_looked_at_twice(body):
    """Of 64 KiB on the event loop: a search that begins anew at each quote would take minutes."""
    began = time.process_time()
    with_texts(body)

    assert time.process_time() - began < 30


def test_literals_are_what_python_reads():
    """In the order and form of a list."""
    written = msgspec.json.encode({"data": as_literals([1.5, math.nan, math.inf, -math.inf])})

    assert written == b'{"data":[1.5,NaN,Infinity,-Infinity]}'
