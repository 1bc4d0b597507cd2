"""What an invalidation names, as it is written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.invalidation.scope import MAX_NAME_BYTES, NUM_BUCKETS, Scope, bucket_of

TEXT = st.text(max_size=20)


@given(st.builds(Scope, model=TEXT, tenant=TEXT, tag=TEXT, region=TEXT))
def test_what_is_written_is_read(scope: Scope) -> None:
    """Whatever the names are; and what is written is ASCII that a script can tell from garbage."""
    assert Scope.parse(scope.name) == scope
    assert set(scope.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%=&._~-")
    assert 0 <= bucket_of(scope.name) < NUM_BUCKETS


def test_a_scope_of_nothing_is_everything() -> None:
    """It has a name of its own, and no other scope has that."""
    assert (Scope().name, Scope().kind) == ("all", "all")
    assert Scope(model="all").name == "model=all"
    assert Scope(model="m", tenant="t", region="eu").kind == "model+tenant"
    assert Scope(region="eu").kind == "all"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "m",
        "model=",
        "model",
        "model=a&model=b",
        "colour=red",
        "tenant=a&model=b",
        "model=a b",
        "model=%41",
        "model=" + "a" * MAX_NAME_BYTES,
        "ALL",
        "all&model=a",
    ],
)
def test_what_nothing_of_ours_writes_is_not_read(name: str) -> None:
    """There is one spelling of a scope: every other is somebody else's."""
    assert Scope.parse(name) is None
