"""The directives of a request's Cache-Control, well-formed and not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cache_control import CacheDirectives
from gateway.wire.cache_control import MAX_CHARS, MOST_S, parse_cache_control


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("no-cache", CacheDirectives(no_cache=True)),
        ("NO-STORE", CacheDirectives(no_store=True)),
        (" , only-if-cached ,", CacheDirectives(only_if_cached=True)),
        ("max-age=5", CacheDirectives(max_age_s=5)),
        ('max-age="5", no-cache', CacheDirectives(max_age_s=5, no_cache=True)),
        ("max-age=9, max-age=5", CacheDirectives(max_age_s=5)),
        ("max-age=99999999999999999999", CacheDirectives(max_age_s=MOST_S)),
        ('private="a, no-store", no-cache', CacheDirectives(no_cache=True)),
        ("max-age=-1, no-cache", CacheDirectives(no_cache=True)),
        ("max-age=1.5", None),
        ("max-age=\u0665", None),
        ("max-age", None),
        ("no-cache=x", None),
        ("no cache", None),
        ('"no-store', None),
        ("", None),
        (",,, ,", None),
        ("max-stale=3, min-fresh=2, no-transform", None),
        ("x" * MAX_CHARS + ",no-store", None),
    ],
)
def test_directives(text: str, control: CacheDirectives | None) -> None:
    """What is unknown or malformed is ignored, and hides nothing beside it."""
    assert parse_cache_control(text) == control


@given(st.text(max_size=2 * MAX_CHARS) | st.text('nostrech-age=,"\\ 0123456789', max_size=MAX_CHARS))
def test_any_text_is_read(text: str) -> None:
    control = parse_cache_control(text)

    assert control is None or control != CacheDirectives()
    assert control is None or 0 <= control.max_age_s <= MOST_S or control.max_age_s == math.inf
